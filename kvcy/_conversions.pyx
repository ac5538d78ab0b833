# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Between Python's objects and the engine's structs: see the .pxd."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from kvcy.engine.block cimport Block, Bytes, block_release
from kvcy.engine.entry cimport entry_key
from kvcy.engine.status cimport NO_MEMORY, TOO_LARGE, Status

from kvcy.errors import ValueTooLargeError, WrongTypeError


cdef int raise_status(Status status) except -1:
    if status == NO_MEMORY:
        raise MemoryError("the store has no memory left; nothing was changed")
    if status == TOO_LARGE:
        raise ValueTooLargeError("a value may have at most 512 MB")
    raise WrongTypeError("the key holds another type of value")


cdef class Borrowed:
    """The bytes of a bytes-like object, held in place while an operation uses them."""
    cdef Py_buffer view
    cdef bint held

    cdef int take(self, object source, Bytes* out) except -1:
        if not isinstance(source, (bytearray, memoryview)):
            raise TypeError(f"keys and values are bytes, not {type(source).__name__}")
        PyObject_GetBuffer(source, &self.view, PyBUF_SIMPLE)
        self.held = True
        out.data = <const char*> self.view.buf
        out.size = <size_t> self.view.len
        out.block = NULL
        return 0

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


cdef object borrow_other(object source, Bytes* out):
    cdef Borrowed borrowed
    if isinstance(source, bytes):      # of a subclass
        return borrow(PyBytes_FromStringAndSize(PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source)), out)
    borrowed = Borrowed()
    borrowed.take(source, out)
    return borrowed


cpdef object data_bytes(object source):
    """The bytes of a key or value; a TypeError names another type."""
    cdef Bytes content
    _held = borrow(source, &content)
    return PyBytes_FromStringAndSize(content.data, <Py_ssize_t> content.size)


cdef object bytes_from_block(Block* block):
    """A bytes object with the block's content; gives up the reference."""
    cdef Py_ssize_t size = <Py_ssize_t> block.size
    try:
        return PyBytes_FromStringAndSize(block.data, size)
    finally:
        block_release(block)


cdef object argument_bytes(object argument):
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, bool):
        raise TypeError("a bool is not a command argument; send 1 or 0")
    if isinstance(argument, int):
        return b"%d" % argument
    if isinstance(argument, float):
        return repr(argument).encode()
    return argument if isinstance(argument, bytes) else bytes(memoryview(argument))


cdef int64_t deadline_ms(object seconds, int64_t now_ms) except -1:
    cdef double ms
    if isinstance(seconds, (str, bytes, bytearray, bool)):
        raise TypeError(f"a time to live is a number of seconds, not {type(seconds).__name__}")
    ms = float(seconds) * 1000
    if not ms > 0:
        raise ValueError(f"a time to live must be above 0 seconds, not {seconds!r}")
    if ms > 9e15:
        raise ValueError(f"a time to live of {seconds!r} seconds is too long")
    return now_ms + max(<int64_t> 1, <int64_t> ms)


cdef bint collect_key(Access* access, const Entry* entry, void* context) noexcept with gil:
    cdef Bytes key = entry_key(entry)
    (<list> context).append(PyBytes_FromStringAndSize(key.data, <Py_ssize_t> key.size))
    return True
