# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Writing a store's keys in the two formats that texts.pyx reads. Their description is docs/tools.md.

A piece has about a quarter of a megabyte, or what one entry needs if that is more. Keys that have expired are left out.
"""
from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from kvcy._conversions cimport clock_ms
from kvcy._core cimport Store
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_expire_ms, entry_key, entry_value
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport DATABASES_MAX
from kvcy.engine.whole cimport keyspace_walk
from kvcy.tools.source cimport Text, text_free

from kvcy.tools.texts import COMMANDS_END, LINES_BEGIN, LINES_END

cdef enum:
    PIECE_BYTES = 262144
    PIECE_BYTES_KEPT = 4194304       # memory beyond is given back after use
    WALK_SLOTS = 4096
    HEAD_BYTES_MAX = 128             # of an entry, besides key and value

cdef struct Output:
    Text text
    uint64_t keys
    int database
    bint commands
    bint failed                      # there was no memory for an entry


cdef bint make_room(Text* text, size_t more) noexcept nogil:
    cdef size_t capacity = text.capacity
    cdef void* grown
    if capacity - text.size >= more:
        return True
    capacity = text.size + more + capacity // 2
    grown = realloc(text.data, capacity)
    if grown == NULL:
        return False
    text.data = <char*> grown
    text.capacity = capacity
    return True


cdef void append(Text* text, const char* data, size_t size) noexcept nogil:
    """REQUIRES: there is room."""
    memcpy(text.data + text.size, data, size)
    text.size += size


cdef void append_escaped(Text* text, const Bytes* bytes) noexcept nogil:
    """REQUIRES: there is room for four bytes for each."""
    cdef const char* digits = "0123456789abcdef"
    cdef char* at = text.data + text.size
    cdef unsigned char byte
    cdef size_t i
    for i in range(bytes.size):
        byte = <unsigned char> bytes.data[i]
        if 32 <= byte < 127 and byte != c'\\':
            at[0] = <char> byte
            at += 1
            continue
        at[0] = c'\\'
        if byte == c'\\':
            at[1] = c'\\'
        elif byte == c'\t':
            at[1] = c't'
        elif byte == c'\n':
            at[1] = c'n'
        elif byte == c'\r':
            at[1] = c'r'
        else:
            at[1] = c'x'
            at[2] = digits[byte >> 4]
            at[3] = digits[byte & 15]
            at += 2
        at += 2
    text.size = <size_t> (at - text.data)


cdef bint write_line(Output* output, const Bytes* key, const Bytes* value, int64_t expire_ms) noexcept nogil:
    cdef Text* text = &output.text
    cdef char* at
    if not make_room(text, HEAD_BYTES_MAX + 4 * (key.size + value.size)):
        return False
    at = text.data + text.size
    if expire_ms:
        text.size += <size_t> snprintf(at, HEAD_BYTES_MAX, "%d\t%lld\t", output.database, <long long> expire_ms)
    else:
        text.size += <size_t> snprintf(at, HEAD_BYTES_MAX, "%d\t-\t", output.database)
    append_escaped(text, key)
    append(text, "\t", 1)
    append_escaped(text, value)
    append(text, "\n", 1)
    return True


cdef void append_bulk(Text* text, const Bytes* bytes) noexcept nogil:
    text.size += <size_t> snprintf(text.data + text.size, 32, "$%zu\r\n", bytes.size)
    append(text, bytes.data, bytes.size)
    append(text, "\r\n", 2)


cdef bint write_command(Output* output, const Bytes* key, const Bytes* value, int64_t expire_ms) noexcept nogil:
    cdef Text* text = &output.text
    cdef char[24] digits
    cdef Bytes time
    if not make_room(text, HEAD_BYTES_MAX + key.size + value.size):
        return False
    append(text, "*5\r\n" if expire_ms else "*3\r\n", 4)
    append(text, "$3\r\nSET\r\n", 9)
    append_bulk(text, key)
    append_bulk(text, value)
    if expire_ms:
        append(text, "$4\r\nPXAT\r\n", 10)
        time.data = digits
        time.size = <size_t> snprintf(digits, 24, "%lld", <long long> expire_ms)
        append_bulk(text, &time)
    return True


cdef bint write_entry(Access* access, const Entry* entry, void* context) noexcept nogil:
    """A Visitor (engine/whole.pxd)."""
    cdef Output* output = <Output*> context
    cdef Bytes key = entry_key(entry)
    cdef Bytes value = entry_value(entry)
    cdef int64_t expire_ms = entry_expire_ms(entry)
    cdef bint written
    if output.commands:
        written = write_command(output, &key, &value, expire_ms)
    else:
        written = write_line(output, &key, &value, expire_ms)
    output.failed |= not written
    output.keys += written
    return written and output.text.size < PIECE_BYTES


cdef class Dumper:
    """The dump of a store in pieces.

    Args:
        store: with no other user as long as the dump goes on.
        commands: the format: commands instead of lines.
    """
    cdef Store store
    cdef Access access
    cdef Output output
    cdef uint64_t cursor
    cdef bint begun, walking, ended

    def __cinit__(self, Store store not None, bint commands):
        self.store = store
        memset(&self.access, 0, sizeof(Access))
        self.access.keyspace = store.keyspace
        self.access.now_ms = clock_ms()
        self.output.commands = commands

    def __dealloc__(self):
        text_free(&self.output.text)

    @property
    def keys(self) -> int:
        """Written so far."""
        return self.output.keys

    cdef int say(self, bytes text) except -1:
        if not make_room(&self.output.text, len(text)):
            raise MemoryError("no memory for the dump")
        append(&self.output.text, text, len(text))
        return 0

    cdef bytes begin_database(self):
        if not self.output.commands:
            return b"" if self.begun else LINES_BEGIN + b"\n"
        number = b"%d" % self.output.database
        return b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n" % (len(number), number)

    cdef bytes end(self):
        if not self.output.commands:
            return LINES_END + b"%d\n" % self.output.keys
        text = COMMANDS_END + b"%d" % self.output.keys
        return b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(text), text)

    cdef bint used(self) noexcept:
        """Whether the database has any key, or is the first: every dump begins with something that says what it is."""
        cdef uint32_t i
        for i in range(self.store.keyspace.shard_count):
            if self.store.keyspace.shards[i].counts[self.output.database]:
                return True
        return self.output.database == 0

    def next(self) -> memoryview | None:
        """The next piece, which is valid until the next call; None at the end.

        Raises:
            MemoryError: there is no memory for an entry.
        """
        cdef Output* output = &self.output
        output.text.size = 0
        if output.text.capacity > PIECE_BYTES_KEPT:
            text_free(&output.text)
            memset(&output.text, 0, sizeof(Text))
        while output.text.size < PIECE_BYTES and not self.ended:
            self.go_on()
        if output.text.size == 0:
            return None
        return PyMemoryView_FromMemory(output.text.data, <Py_ssize_t> output.text.size, PyBUF_READ)

    cdef int go_on(self) except -1:
        """One step: the head of a database, or some of its keys, or the end."""
        cdef Output* output = &self.output
        if output.database == DATABASES_MAX:
            self.say(self.end())
            self.ended = True
        elif not self.walking:
            if self.used():
                self.say(self.begin_database())
                self.begun = self.walking = True
                self.access.database = output.database
                self.cursor = 0
            else:
                output.database += 1
        else:
            with nogil:
                self.cursor = keyspace_walk(&self.access, self.cursor, WALK_SLOTS, write_entry, output)
            if output.failed:
                raise MemoryError("no memory for a key of the dump")
            if self.cursor == 0:
                self.walking = False
                output.database += 1
        return 0
