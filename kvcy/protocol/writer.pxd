# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The reply writer: a growing buffer, and references to large blocks that are sent from where they are.

A mark at `offset` says: here the bytes [start, start + size) of a block come in between. The writer owns one reference
of each marked block. When memory ends, `failed` is raised, further writes are ignored, and the connection must be
closed. RESP3 (`resp3` true) and RESP2 forms differ for null, map, set, double, boolean, verbatim, big number and push.

What every command writes is inline: where the room suffices, no call is made.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.platform cimport likely

cdef struct Mark:
    size_t offset          # in data
    size_t start           # in the block
    size_t size
    Block* block

cdef struct Writer:
    char* data
    size_t size
    size_t capacity        # what may be filled: when failed, no more than size
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
    WRITER_KEPT_BYTES_MAX = 262144   # writer_clear gives back a larger buffer
    WRITER_KEPT_MARKS_MAX = 256
    FORMAT_INT_BYTES = 21            # room that format_int wants
    FORMAT_DOUBLE_BYTES = 32         # room that format_double wants
    BULK_EXTRA_BYTES = 25            # '$', 20 digits, CR LF, CR LF

cdef void writer_init(Writer* writer) noexcept nogil
cdef void writer_close(Writer* writer) noexcept nogil                  # frees buffer and references
# Empties it, ends a failure, and keeps the buffer, unless it has grown large.
cdef void writer_clear(Writer* writer) noexcept nogil
cdef WriterPosition writer_position(const Writer* writer) noexcept nogil
cdef void writer_rewind(Writer* writer, WriterPosition position) noexcept nogil    # does nothing when failed
# Makes room for `size` more bytes; NULL (and failed) when there is none. The caller adds to writer.size what it filled.
cdef char* writer_room(Writer* writer, size_t size) noexcept nogil
# Memory held: the buffer and the marks, not the blocks.
cdef size_t writer_memory_bytes(const Writer* writer) noexcept nogil

cdef void write_raw(Writer* writer, const char* data, size_t size) noexcept nogil          # bytes as they are
cdef void write_simple(Writer* writer, const char* text) noexcept nogil                    # +text, NUL-terminated
cdef void write_error(Writer* writer, const char* text) noexcept nogil                     # -text ("ERR ..." included)
# As write_error; CR and LF become spaces.
cdef void write_error_part(Writer* writer, const char* text, size_t size) noexcept nogil
cdef void write_bulk_text(Writer* writer, const char* text) noexcept nogil                 # NUL-terminated
cdef void write_bulk_int(Writer* writer, int64_t number) noexcept nogil                    # an integer as a bulk string
cdef void write_value_part(Writer* writer, Bytes value, size_t start, size_t size) noexcept nogil
# Bytes [start, start + size) of a block as they are (ready-made protocol), marked, not copied; retains the block.
cdef void write_raw_block(Writer* writer, Block* block, size_t start, size_t size) noexcept nogil
# All of a block, copied if it is short.
cdef void write_raw_whole(Writer* writer, Block* block) noexcept nogil
cdef void write_null_array(Writer* writer) noexcept nogil              # *-1 or _
cdef void write_array(Writer* writer, int64_t count) noexcept nogil    # header; elements follow
cdef void write_map(Writer* writer, int64_t pairs) noexcept nogil      # header; RESP2: an array of 2 * pairs
cdef void write_set(Writer* writer, int64_t count) noexcept nogil      # header; RESP2: an array
cdef void write_push(Writer* writer, int64_t count) noexcept nogil     # header; RESP2: an array
cdef void write_bool(Writer* writer, bint value) noexcept nogil        # RESP2: 1 or 0
cdef void write_double(Writer* writer, double value) noexcept nogil    # RESP2: bulk
cdef void write_big_number(Writer* writer, const char* digits, size_t size) noexcept nogil   # RESP2: bulk
# `kind`: three letters. RESP2: bulk.
cdef void write_verbatim(Writer* writer, const char* kind, const char* data, size_t size) noexcept nogil
# Decimal digits of `number` into `text` (at least 21 bytes); returns how many. No NUL.
cdef size_t format_int(char* text, int64_t number) noexcept nogil
# The shortest digits that read back as `value` into `text` (at least 32 bytes), laid out as Redis does; no NUL.
cdef size_t format_double(char* text, double value) noexcept nogil

# Slow parts of the inline functions below.
cdef void write_header(Writer* writer, char kind, int64_t number) noexcept nogil       # kind, digits, CR LF
cdef void write_bulk_slowly(Writer* writer, const char* data, size_t size) noexcept nogil

cdef inline void write_literal(Writer* writer, const char* text, size_t size) noexcept nogil:
    """A few bytes of a known size, as they are."""
    if likely(writer.capacity - writer.size >= size):
        memcpy(writer.data + writer.size, text, size)
        writer.size += size
    else:
        write_raw(writer, text, size)

cdef inline void write_ok(Writer* writer) noexcept nogil:
    write_literal(writer, "+OK\r\n", 5)

cdef inline void write_null(Writer* writer) noexcept nogil:
    """$-1 or _"""
    if writer.resp3:
        write_literal(writer, "_\r\n", 3)
    else:
        write_literal(writer, "$-1\r\n", 5)

cdef inline void write_int(Writer* writer, int64_t number) noexcept nogil:
    cdef char* to
    if likely(0 <= number <= 9 and writer.capacity - writer.size >= 4):
        to = writer.data + writer.size
        to[0] = c':'
        to[1] = <char> (48 + number)
        to[2] = 13
        to[3] = 10
        writer.size += 4
    else:
        write_header(writer, c':', number)

cdef inline void write_bulk(Writer* writer, const char* data, size_t size) noexcept nogil:
    cdef char* to
    if likely(size < 1000 and writer.capacity - writer.size >= size + BULK_EXTRA_BYTES):
        to = writer.data + writer.size
        to[0] = c'$'
        to += 1
        if size >= 100:
            to[0] = <char> (48 + size // 100)
            to += 1
        if size >= 10:
            to[0] = <char> (48 + size // 10 % 10)
            to += 1
        to[0] = <char> (48 + size % 10)
        to[1] = 13
        to[2] = 10
        to += 3
        memcpy(to, data, size)
        to += size
        to[0] = 13
        to[1] = 10
        writer.size = to + 2 - writer.data
    else:
        write_bulk_slowly(writer, data, size)

cdef inline void write_value(Writer* writer, Bytes value) noexcept nogil:
    """A bulk; a large block is marked, not copied."""
    if likely(value.block == NULL or value.size < WRITER_BLOCK_BYTES_MIN):
        write_bulk(writer, value.data, value.size)
    else:
        write_value_part(writer, value, 0, value.size)
