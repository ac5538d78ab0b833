# cython: language_level=3
"""The reply writer: a growing buffer, and references to large blocks that are sent from where they are.

A mark at `offset` says: here the bytes [start, start + size) of a block come in between. The writer owns one reference of
each marked block. When memory ends, `failed` is raised, further writes are ignored, and the connection must be closed.
RESP3 (`resp3` true) and RESP2 forms differ for null, map, set, double, boolean, verbatim, big number and push.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes

cdef struct Mark:
    size_t offset          # in data
    size_t start           # in the block
    size_t size
    Block* block

cdef struct Writer:
    char* data
    size_t size
    size_t capacity
    Mark* marks
    uint32_t mark_count
    uint32_t mark_capacity
    size_t marked_bytes    # sum of the marks' sizes
    bint resp3
    bint failed

cdef struct WriterPosition:    # for taking back what was written since
    size_t size
    uint32_t mark_count
    size_t marked_bytes

cdef enum:
    WRITER_BLOCK_BYTES_MIN = 16384   # a smaller part of a block is copied instead of marked

cdef void writer_init(Writer* writer) noexcept nogil
cdef void writer_close(Writer* writer) noexcept nogil                  # frees buffer and references
cdef void writer_clear(Writer* writer) noexcept nogil                  # empties it, keeps the buffer
cdef WriterPosition writer_position(const Writer* writer) noexcept nogil
cdef void writer_rewind(Writer* writer, WriterPosition position) noexcept nogil
# Makes room for `size` more bytes; NULL (and failed) when there is none. The caller adds to writer.size what it filled.
cdef char* writer_room(Writer* writer, size_t size) noexcept nogil

cdef void write_raw(Writer* writer, const char* data, size_t size) noexcept nogil          # bytes as they are
cdef void write_ok(Writer* writer) noexcept nogil
cdef void write_simple(Writer* writer, const char* text) noexcept nogil                    # +text, NUL-terminated
cdef void write_error(Writer* writer, const char* text) noexcept nogil                     # -text ("ERR ..." included)
cdef void write_error_part(Writer* writer, const char* text, size_t size) noexcept nogil   # same; CR and LF become spaces
cdef void write_int(Writer* writer, int64_t number) noexcept nogil
cdef void write_bulk(Writer* writer, const char* data, size_t size) noexcept nogil
cdef void write_bulk_text(Writer* writer, const char* text) noexcept nogil                 # NUL-terminated
cdef void write_bulk_int(Writer* writer, int64_t number) noexcept nogil                    # an integer as a bulk string
cdef void write_value(Writer* writer, Bytes value) noexcept nogil      # a bulk; a large block is marked, not copied
cdef void write_value_part(Writer* writer, Bytes value, size_t start, size_t size) noexcept nogil
# Bytes [start, start + size) of a block as they are (ready-made protocol), marked, not copied; retains the block.
cdef void write_raw_block(Writer* writer, Block* block, size_t start, size_t size) noexcept nogil
cdef void write_null(Writer* writer) noexcept nogil                    # $-1 or _
cdef void write_null_array(Writer* writer) noexcept nogil              # *-1 or _
cdef void write_array(Writer* writer, int64_t count) noexcept nogil    # header; elements follow
cdef void write_map(Writer* writer, int64_t pairs) noexcept nogil      # header; RESP2: an array of 2 * pairs
cdef void write_set(Writer* writer, int64_t count) noexcept nogil      # header; RESP2: an array
cdef void write_bool(Writer* writer, bint value) noexcept nogil        # RESP2: 1 or 0
cdef void write_double(Writer* writer, double value) noexcept nogil    # RESP2: bulk
cdef void write_verbatim(Writer* writer, const char* kind, const char* data, size_t size) noexcept nogil   # RESP2: bulk
# Decimal digits of `number` into `text` (at least 21 bytes); returns how many. No NUL.
cdef size_t format_int(char* text, int64_t number) noexcept nogil
