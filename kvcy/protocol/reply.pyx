# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The client's side of the protocol: an incremental reader of replies.

    reader = ReplyReader()
    reader.feed(data)                 bytes as they come from the socket, in pieces of any size
    reply = reader.gets()             the next reply, or NOT_READY: feed more

RESP2 and RESP3 replies become

    simple, bulk, verbatim string     bytes, or str when an encoding was given
    integer, big number               int
    double                            float
    boolean                           bool
    null, null bulk, null array       None
    array                             list
    set                               set; a list where that would lose members or a member is not hashable
    map                               dict; a list of pairs where that would lose pairs or a key is not hashable
    push                              Push, a list
    error, bulk error                 a ReplyError, returned like any other reply, never raised
    attribute                         not a reply: the map before a whole reply is in reader.attributes afterwards

A ProtocolError is raised for what is none of these, and again by every later call: the connection is lost. Streamed
strings and aggregates are refused, too. Elements of an unfinished aggregate are kept, so nothing is read twice but the
header of an unfinished string. A length allocates nothing: memory grows with what was fed. Nesting is a list of frames,
not recursion, and ends at `depth_max`.

A reader belongs to one thread at a time.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Decode, PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcpy, memmove

import codecs

from kvcy.errors import ProtocolError, ReplyError
from kvcy.protocol.request import encode_command, encode_commands

__all__ = ["NOT_READY", "NotReady", "Push", "ReplyReader", "encode_command", "encode_commands"]

cdef enum:
    LINE_BYTES_MAX = 1048576       # of a simple string, error or big number
    HEADER_BYTES_MAX = 64          # of a length or a number
    BUFFER_FIRST_BYTES = 4096
    BUFFER_KEPT_BYTES_MAX = 65536  # what an idle reader may keep

cdef int64_t COUNT_MAX = 0xffffffff


class NotReady:
    """The type of NOT_READY."""

    def __repr__(self):
        return "NOT_READY"

    def __bool__(self):
        return False


NOT_READY = NotReady()
cdef object not_ready = NOT_READY
cdef object opened = object()    # an aggregate was opened, or an empty attribute passed: go on


class Push(list):
    """What the server sends without being asked: [kind, ...]."""


@cython.final
@cython.internal
cdef class Frame:
    """An aggregate under way."""
    cdef char kind
    cdef int64_t missing
    cdef list items
    cdef Frame parent


cdef Frame new_frame(char kind, int64_t missing, Frame parent):
    cdef Frame frame = Frame.__new__(Frame)
    frame.kind = kind
    frame.missing = missing
    frame.items = []
    frame.parent = parent
    return frame


@cython.final
cdef class ReplyReader:
    cdef char* data
    cdef size_t start              # of the element under way
    cdef size_t size
    cdef size_t capacity
    cdef size_t searched           # bytes behind `start` in which the line under way does not end
    cdef Frame top                 # the innermost aggregate, or None
    cdef int depth
    cdef int depth_max
    cdef int64_t bulk_bytes_max
    cdef str encoding              # None: strings stay bytes
    cdef bytes encoding_name
    cdef bytes errors_name
    cdef bint utf8
    cdef bint between              # the next element begins a reply
    cdef object error              # the ProtocolError that ended it
    cdef object decode_error       # to be raised when the reply is complete
    cdef readonly object attributes

    def __cinit__(self, *, str encoding=None, str errors="strict", int64_t bulk_bytes_max=512 * 1024 * 1024,
                  int depth_max=128):
        self.encoding = encoding
        self.encoding_name = (encoding or "").encode()
        self.errors_name = errors.encode()
        self.utf8 = encoding is not None and encoding.lower().replace("_", "-") in ("utf-8", "utf8")
        if encoding is not None:
            codecs.lookup(encoding)            # LookupError now rather than at the first string
        self.bulk_bytes_max = bulk_bytes_max
        self.depth_max = depth_max
        self.between = True

    def __dealloc__(self):
        free(self.data)

    @property
    def pending(self):
        """Whether there are bytes, or parts of a reply, that no reply was made of yet."""
        return self.start != self.size or self.top is not None or not self.between

    @property
    def memory_bytes(self):
        """Bytes of the buffer."""
        return self.capacity

    def feed(self, data):
        """Take bytes in: any object with a contiguous buffer."""
        cdef Py_buffer view
        if type(data) is bytes:
            self.append(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            return
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.append(<const char*> view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int append(self, const char* data, size_t size) except -1:
        cdef size_t used = self.size - self.start
        cdef size_t capacity = self.capacity
        cdef char* moved
        if self.start and capacity - self.size < size:
            memmove(self.data, self.data + self.start, used)
            self.start = 0
            self.size = used
        if capacity - self.size < size:
            capacity = max(2 * capacity, used + size, <size_t> BUFFER_FIRST_BYTES)
            moved = <char*> realloc(self.data, capacity)
            if moved == NULL:
                raise MemoryError
            self.data = moved
            self.capacity = capacity
        if size:
            memcpy(self.data + self.size, data, size)
            self.size += size
        return 0

    def gets(self):
        """The next reply, or NOT_READY.

        Raises ProtocolError, or UnicodeDecodeError where a string of the reply cannot be decoded (the reply is
        consumed, reading may go on).
        """
        cdef object value
        if self.error is not None:
            raise self.error
        try:
            value = self.next_reply()
        except ProtocolError as error:
            self.error = error
            raise
        if value is not_ready:
            return value
        self.between = True
        if self.start == self.size:
            self.start = self.size = 0
            if self.capacity > BUFFER_KEPT_BYTES_MAX:
                free(self.data)
                self.data = NULL
                self.capacity = 0
        if self.decode_error is not None:
            error, self.decode_error = self.decode_error, None
            raise error
        return value

    cdef object next_reply(self):
        cdef object value
        cdef Frame frame
        while True:
            if self.start == self.size:
                return not_ready
            if self.between:
                self.between = False
                self.attributes = None
            value = self.take_element()
            if value is not_ready:
                return value
            if value is opened:
                continue
            while True:                        # value is whole: put it where it belongs
                frame = self.top
                if frame is None:
                    return value
                frame.items.append(value)
                frame.missing -= 1
                if frame.missing:
                    break
                self.top = frame.parent
                self.depth -= 1
                value = finish(frame)
                if frame.kind == c'|':
                    if self.top is None:
                        self.attributes = value
                    break

    cdef object take_element(self):
        """The element at `start`, which it moves behind it; or not_ready or opened."""
        cdef char kind = self.data[self.start]
        cdef const char* line
        cdef Py_ssize_t size
        cdef bint text = kind == c'+' or kind == c'-' or kind == c'('
        if not is_kind(kind):
            raise ProtocolError(f"unknown reply type {bytes([<unsigned char> kind])!r}")
        size = self.find_line(LINE_BYTES_MAX if text else HEADER_BYTES_MAX)
        if size < 0:
            return not_ready
        line = self.data + self.start + 1
        if kind == c'$' or kind == c'=' or kind == c'!':
            return self.take_bulk(kind, line, size)
        self.start += size + 3
        self.searched = 0
        if kind == c'+':
            return self.text(line, size)
        if kind == c'-':
            return make_error(line, size)
        if kind == c':':
            return parse_integer(line, size)
        if kind == c'_':
            if size:
                raise ProtocolError("bad null")
            return None
        if kind == c',':
            return parse_double(line[:size])
        if kind == c'#':
            if size != 1 or (line[0] != c't' and line[0] != c'f'):
                raise ProtocolError("bad boolean")
            return line[0] == c't'
        if kind == c'(':
            return parse_big_number(line[:size])
        return self.open_aggregate(kind, parse_length(line, size))

    cdef Py_ssize_t find_line(self, size_t bytes_max) except -2:
        """Length of the line behind the type byte, without CR LF; -1: not whole yet."""
        cdef const char* line = self.data + self.start + 1
        cdef size_t size = self.size - self.start - 1
        cdef const char* end = NULL
        if size > self.searched:
            end = <const char*> memchr(line + self.searched, 13, size - self.searched)
        if end == NULL:
            self.searched = size
            if size > bytes_max:
                raise ProtocolError("line too long")
            return -1
        self.searched = end - line
        if self.searched > bytes_max:
            raise ProtocolError("line too long")
        if self.searched + 2 > size:
            return -1
        if end[1] != 10:
            raise ProtocolError("expected LF after CR")
        return end - line

    cdef object take_bulk(self, char kind, const char* line, Py_ssize_t line_size):
        """A bulk string, verbatim string or bulk error."""
        cdef int64_t length = parse_length(line, line_size)
        cdef const char* body = line + line_size + 2
        if length < 0 and kind == c'$':
            self.start += line_size + 3
            self.searched = 0
            return None
        if length < 0 or length > self.bulk_bytes_max + (4 if kind == c'=' else 0):
            raise ProtocolError(f"bad bulk length {length}")
        if <uint64_t> (self.data + self.size - body) < <uint64_t> length + 2:
            return not_ready
        if body[length] != 13 or body[length + 1] != 10:
            raise ProtocolError("expected CR LF after a bulk string")
        self.start += line_size + 3 + length + 2
        self.searched = 0
        if kind == c'$':
            return self.text(body, length)
        if kind == c'!':
            return make_error(body, length)
        if length < 4 or body[3] != c':':
            raise ProtocolError("bad verbatim string")
        return self.text(body + 4, length - 4)

    cdef object open_aggregate(self, char kind, int64_t count):
        if count < 0 and kind == c'*':
            return None
        if count < 0 or count > COUNT_MAX:
            raise ProtocolError(f"bad aggregate length {count}")
        if kind == c'%' or kind == c'|':
            count *= 2
        if count == 0 and kind != c'|':
            return finish(new_frame(kind, 0, None))
        if self.depth == self.depth_max:
            raise ProtocolError("nested too deeply")
        if count:
            self.depth += 1
            self.top = new_frame(kind, count, self.top)
        elif self.top is None:
            self.attributes = {}
        return opened

    cdef object text(self, const char* data, Py_ssize_t size):
        if self.encoding is None:
            return PyBytes_FromStringAndSize(data, size)
        try:
            if self.utf8:
                return PyUnicode_DecodeUTF8(data, size, self.errors_name)
            return PyUnicode_Decode(data, size, self.encoding_name, self.errors_name)
        except UnicodeDecodeError as error:
            if self.decode_error is None:
                self.decode_error = error
            return None


cdef inline bint is_kind(char kind) noexcept:
    return memchr(<const char*> "$+-:*_,#!=(%~>|", kind, 15) != NULL


cdef object make_error(const char* data, Py_ssize_t size):
    return ReplyError(PyUnicode_DecodeUTF8(data, size, "replace"))


cdef object finish(Frame frame):
    """The object an aggregate becomes."""
    cdef list items = frame.items
    cdef object result
    if frame.kind == c'*':
        return items
    if frame.kind == c'>':
        return Push(items)
    try:
        if frame.kind == c'~':
            result = set(items)
            return result if len(result) == len(items) else items
        result = dict(zip(items[::2], items[1::2], strict=True))
        if len(result) * 2 == len(items):
            return result
    except TypeError:
        if frame.kind == c'~':
            return items
    return list(zip(items[::2], items[1::2], strict=True))


# --- numbers

cdef int64_t parse_integer(const char* line, Py_ssize_t size) except? -1:
    """[+-]digits, within 64 bits."""
    cdef bint negative = size > 0 and line[0] == c'-'
    cdef Py_ssize_t i = 1 if size > 0 and (negative or line[0] == c'+') else 0
    cdef uint64_t value = 0, limit = <uint64_t> INT64_MAX + (1 if negative else 0)
    cdef unsigned int digit
    if i == size:
        raise ProtocolError("bad number")
    while i < size:
        digit = <unsigned int> <unsigned char> line[i] - 48
        if digit > 9 or value > limit // 10 or 10 * value > limit - digit:
            raise ProtocolError("bad number")
        value = 10 * value + digit
        i += 1
    return <int64_t> (0 - value) if negative else <int64_t> value


cdef int64_t parse_length(const char* line, Py_ssize_t size) except? -1:
    """A length, or -1 for null forms."""
    cdef int64_t length
    if size == 1 and line[0] == c'?':
        raise ProtocolError("streamed replies are not supported")
    length = parse_integer(line, size)
    if length < -1:
        raise ProtocolError(f"bad length {length}")
    return length


cdef object parse_double(bytes text):
    cdef char c
    if text in (b"inf", b"+inf", b"-inf", b"nan", b"-nan"):
        return float(text)
    for c in text:
        if not (48 <= c <= 57 or c == c'.' or c == c'-' or c == c'+' or c == c'e' or c == c'E'):
            raise ProtocolError(f"bad double {text!r}")
    try:
        return float(text)
    except ValueError:
        raise ProtocolError(f"bad double {text!r}") from None


cdef object parse_big_number(bytes text):
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit():
        raise ProtocolError("bad big number")
    try:
        return int(text)
    except ValueError as error:                # longer than Python is willing to convert
        raise ProtocolError(str(error)) from None
