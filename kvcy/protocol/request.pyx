# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The client's side of the protocol: the encoding of commands.

An argument is bytes, a bytearray or memoryview, a str (sent as UTF-8), an int, or a float (sent as Python writes it). A
bool is refused: what would be stored is not what one would read.
"""
from cpython.buffer cimport PyBUF_SIMPLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from kvcy.protocol.writer cimport (
    Writer, write_array, write_bulk, write_bulk_int, writer_close, writer_init)

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1


def encode_command(args):
    """One command, a sequence of arguments, as an array of bulk strings."""
    cdef Writer writer
    writer_init(&writer)
    try:
        encode(&writer, args)
        return encoded(&writer)
    finally:
        writer_close(&writer)


def encode_commands(commands):
    """Many commands in a row, for a pipeline."""
    cdef Writer writer
    writer_init(&writer)
    try:
        for args in commands:
            encode(&writer, args)
        return encoded(&writer)
    finally:
        writer_close(&writer)


cdef bytes encoded(const Writer* writer):
    if writer.failed:
        raise MemoryError
    return PyBytes_FromStringAndSize(writer.data, writer.size)


cdef int encode(Writer* writer, object args) except -1:
    if isinstance(args, (str, bytes, bytearray, memoryview)):
        raise TypeError("a command is a sequence of arguments, not one string")
    if not isinstance(args, (list, tuple)):
        args = list(args)
    if not args:
        raise ValueError("a command without a name")
    write_array(writer, len(args))
    for arg in args:
        encode_argument(writer, arg)
    return 0


cdef int encode_argument(Writer* writer, object arg) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* text
    cdef long long number
    cdef int overflow = 0
    cdef Py_buffer view
    if isinstance(arg, bytes):
        write_bulk(writer, PyBytes_AS_STRING(arg), PyBytes_GET_SIZE(arg))
    elif isinstance(arg, str):
        text = PyUnicode_AsUTF8AndSize(arg, &size)
        write_bulk(writer, text, size)
    elif isinstance(arg, bool):
        raise TypeError("a command's argument cannot be a bool: say what is to be stored for it")
    elif isinstance(arg, int):
        number = PyLong_AsLongLongAndOverflow(arg, &overflow)
        if overflow:
            encode_argument(writer, int.__repr__(arg))
        else:
            write_bulk_int(writer, number)
    elif isinstance(arg, float):
        encode_argument(writer, float.__repr__(arg))
    elif isinstance(arg, (bytearray, memoryview)):
        PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE)
        write_bulk(writer, <const char*> view.buf, view.len)
        PyBuffer_Release(&view)
    else:
        raise TypeError(f"a command's argument cannot be a {type(arg).__name__}")
    return 0
