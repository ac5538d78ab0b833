# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""protocol/writer.pxd for the tests."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from kvcy.engine.block cimport Block, Bytes, block_new, block_release
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.protocol.writer cimport (
    FORMAT_DOUBLE_BYTES, FORMAT_INT_BYTES, WRITER_BLOCK_BYTES_MIN, WRITER_KEPT_BYTES_MAX, Writer, WriterPosition,
    format_double, format_int, write_array, write_big_number, write_bool, write_bulk, write_bulk_int, write_bulk_text,
    write_double, write_error, write_error_part, write_int, write_map, write_null, write_null_array, write_ok,
    write_push, write_raw, write_raw_block, write_set, write_simple, write_value, write_value_part, write_verbatim,
    writer_clear, writer_close, writer_init, writer_memory_bytes, writer_position, writer_rewind, writer_room)

BLOCK_MIN = WRITER_BLOCK_BYTES_MIN
KEPT_MAX = WRITER_KEPT_BYTES_MAX


def fail_after(count: int) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()


def int_text(int64_t number) -> bytes:
    cdef char[FORMAT_INT_BYTES + 1] text
    memset(text, 0x55, sizeof(text))
    size = format_int(text, number)
    assert text[FORMAT_INT_BYTES] == 0x55
    return text[:size]


def double_text(double value) -> bytes:
    cdef char[FORMAT_DOUBLE_BYTES + 1] text
    memset(text, 0x55, sizeof(text))
    size = format_double(text, value)
    assert text[FORMAT_DOUBLE_BYTES] == 0x55
    return text[:size]


cdef class BlockProbe:
    """A block, and the view [start, start + size) of it that write_value gets."""
    cdef Block* block

    def __cinit__(self, bytes data):
        self.block = block_new(len(data))
        if self.block == NULL:
            raise MemoryError
        memcpy(self.block.data, <const char*> data, len(data))
        self.block.size = len(data)

    def __dealloc__(self):
        if self.block != NULL:
            block_release(self.block)

    @property
    def references(self) -> int:
        return self.block.references


cdef class WriterProbe:
    cdef Writer writer
    cdef WriterPosition position

    def __cinit__(self, *, resp3=False):
        writer_init(&self.writer)
        self.writer.resp3 = resp3

    def __dealloc__(self):
        writer_close(&self.writer)

    def output(self) -> bytes:
        """What would be sent: the buffer with the marked parts in their places."""
        cdef size_t at = 0, marked = 0, i
        parts = []
        for i in range(self.writer.mark_count):
            mark = self.writer.marks[i]
            assert at <= mark.offset <= self.writer.size
            parts.append(self.writer.data[at:mark.offset])
            parts.append(mark.block.data[mark.start:mark.start + mark.size])
            at = mark.offset
            marked += mark.size
        assert marked == self.writer.marked_bytes
        if self.writer.size > at:
            parts.append(self.writer.data[at:self.writer.size])
        return b"".join(parts)

    @property
    def size(self) -> int:
        return self.writer.size

    @property
    def marks(self) -> list:
        return [(mark.offset, mark.start, mark.size) for mark in self.writer.marks[:self.writer.mark_count]]

    @property
    def memory_bytes(self) -> int:
        return writer_memory_bytes(&self.writer)

    @property
    def failed(self) -> bool:
        return self.writer.failed

    def clear(self):
        writer_clear(&self.writer)

    def close(self):
        writer_close(&self.writer)

    def remember(self):
        self.position = writer_position(&self.writer)

    def rewind(self):
        writer_rewind(&self.writer, self.position)

    def room(self, size_t size) -> bool:
        return writer_room(&self.writer, size) != NULL

    def raw(self, bytes data):
        write_raw(&self.writer, data, len(data))

    def raw_block(self, BlockProbe block, size_t start, size_t size):
        write_raw_block(&self.writer, block.block, start, size)

    def ok(self):
        write_ok(&self.writer)

    def null(self):
        write_null(&self.writer)

    def null_array(self):
        write_null_array(&self.writer)

    def simple(self, bytes text):
        write_simple(&self.writer, text)

    def error(self, bytes text):
        write_error(&self.writer, text)

    def error_part(self, bytes text):
        write_error_part(&self.writer, text, len(text))

    def int(self, int64_t number):
        write_int(&self.writer, number)

    def bulk(self, bytes data):
        write_bulk(&self.writer, data, len(data))

    def bulk_text(self, bytes text):
        write_bulk_text(&self.writer, text)

    def bulk_int(self, int64_t number):
        write_bulk_int(&self.writer, number)

    def value(self, bytes data):
        """A value that lies in no block."""
        cdef Bytes value
        value.data = data
        value.size = len(data)
        value.block = NULL
        write_value(&self.writer, value)

    def value_part(self, bytes data, size_t start, size_t size):
        cdef Bytes value
        value.data = data
        value.size = len(data)
        value.block = NULL
        write_value_part(&self.writer, value, start, size)

    def block_value(self, BlockProbe block, size_t skip=0):
        """A value that is a block's content from `skip` on."""
        cdef Bytes value
        value.data = block.block.data + skip
        value.size = block.block.size - skip
        value.block = block.block
        write_value(&self.writer, value)

    def block_value_part(self, BlockProbe block, size_t start, size_t size):
        cdef Bytes value
        value.data = block.block.data
        value.size = block.block.size
        value.block = block.block
        write_value_part(&self.writer, value, start, size)

    def array(self, int64_t count):
        write_array(&self.writer, count)

    def map(self, int64_t pairs):
        write_map(&self.writer, pairs)

    def set(self, int64_t count):
        write_set(&self.writer, count)

    def push(self, int64_t count):
        write_push(&self.writer, count)

    def bool(self, value):
        write_bool(&self.writer, value)

    def double(self, double value):
        write_double(&self.writer, value)

    def big_number(self, bytes digits):
        write_big_number(&self.writer, digits, len(digits))

    def verbatim(self, bytes kind, bytes data):
        assert len(kind) == 3
        write_verbatim(&self.writer, kind, data, len(data))

    def write_many(self, str what, int64_t count, bytes data=b""):
        """`count` replies of one kind in C, clearing every 64; for the benchmarks. Returns ns a reply."""
        cdef int64_t i
        cdef int kind = ["ok", "null", "int", "bulk", "value"].index(what)
        cdef timespec before, after
        cdef Bytes value
        value.data = data
        value.size = len(data)
        value.block = NULL
        clock_gettime(CLOCK_MONOTONIC, &before)
        with nogil:
            for i in range(count):
                if kind == 0:
                    write_ok(&self.writer)
                elif kind == 1:
                    write_null(&self.writer)
                elif kind == 2:
                    write_int(&self.writer, i)
                elif kind == 3:
                    write_bulk(&self.writer, value.data, value.size)
                else:
                    write_value(&self.writer, value)
                if i & 63 == 63:
                    writer_clear(&self.writer)
        clock_gettime(CLOCK_MONOTONIC, &after)
        writer_clear(&self.writer)
        return ((after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec)) / count
