# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The reply writer (writer.pxd): what is not inline there.

The buffer doubles, from 1 KiB on. A failed writer has capacity == size, so that the inline functions find no room and
come here, where `failed` is looked at; no write needs to check anything else. Marks are in the order of their offsets.

Doubles are written with the fewest digits that read back as the same value: 15 significant digits are tried, then 16,
then 17. The digits come from snprintf and are laid out here, so the locale's decimal point does not matter.
"""
from libc.float cimport DBL_MIN
from libc.math cimport isinf, isnan, signbit
from libc.stdint cimport INT64_MAX, SIZE_MAX, int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport atoi, strtod
from libc.string cimport memcpy, memset, strchr, strlen

from kvcy.engine.block cimport Block, Bytes, block_release, block_retain
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.engine.platform cimport invariant

cdef enum:
    WRITER_FIRST_BYTES = 1024
    MARKS_FIRST = 8
    DOUBLE_DIGITS_MIN = 15     # a decimal of so many digits survives as a double
    DOUBLE_DIGITS_MAX = 17     # a double survives as a decimal of so many


# --- the buffer

cdef void writer_init(Writer* writer) noexcept nogil:
    memset(writer, 0, sizeof(Writer))


cdef void release_marks(Writer* writer, uint32_t count) noexcept nogil:
    """Takes back all marks but the first `count`."""
    while writer.mark_count > count:
        writer.mark_count -= 1
        if writer.marks[writer.mark_count].block != NULL:
            block_release(writer.marks[writer.mark_count].block)


cdef void writer_close(Writer* writer) noexcept nogil:
    release_marks(writer, 0)
    memory_free(writer.data)
    memory_free(writer.marks)
    writer_init(writer)


cdef void writer_clear(Writer* writer) noexcept nogil:
    release_marks(writer, 0)
    writer.size = 0
    writer.marked_bytes = 0
    if writer.capacity > WRITER_KEPT_BYTES_MAX or writer.failed:
        memory_free(writer.data)
        writer.data = NULL
        writer.capacity = 0
        writer.failed = False
    if writer.mark_capacity > WRITER_KEPT_MARKS_MAX:
        memory_free(writer.marks)
        writer.marks = NULL
        writer.mark_capacity = 0


cdef WriterPosition writer_position(const Writer* writer) noexcept nogil:
    cdef WriterPosition position
    position.size = writer.size
    position.mark_count = writer.mark_count
    position.marked_bytes = writer.marked_bytes
    return position


cdef void writer_rewind(Writer* writer, WriterPosition position) noexcept nogil:
    if writer.failed:
        return
    invariant(position.size <= writer.size)
    invariant(position.mark_count <= writer.mark_count)
    release_marks(writer, position.mark_count)
    writer.size = position.size
    writer.marked_bytes = position.marked_bytes


cdef size_t writer_memory_bytes(const Writer* writer) noexcept nogil:
    return writer.capacity + writer.mark_capacity * sizeof(Mark)


cdef void writer_fail(Writer* writer) noexcept nogil:
    writer.failed = True
    writer.capacity = writer.size


cdef char* writer_room(Writer* writer, size_t size) noexcept nogil:
    cdef size_t capacity
    cdef char* data
    if writer.capacity - writer.size >= size and not writer.failed:
        return writer.data + writer.size
    if writer.failed:
        return NULL
    capacity = max(<size_t> WRITER_FIRST_BYTES, 2 * writer.capacity, writer.size + size)
    data = NULL
    if size < SIZE_MAX // 4:
        data = <char*> memory_resize(writer.data, capacity)
    if data == NULL:
        writer_fail(writer)
        return NULL
    writer.data = data
    writer.capacity = capacity
    return data + writer.size


# --- plain bytes and blocks

cdef void write_raw(Writer* writer, const char* data, size_t size) noexcept nogil:
    cdef char* to = writer_room(writer, size)
    if to != NULL and size:
        memcpy(to, data, size)
        writer.size += size


cdef void write_raw_block(Writer* writer, Block* block, size_t start, size_t size) noexcept nogil:
    cdef uint32_t capacity
    cdef Mark* marks
    invariant(start <= block.size)
    invariant(size <= block.size - start)
    if writer.failed or not size:
        return
    if writer.mark_count == writer.mark_capacity:
        capacity = max(<uint32_t> MARKS_FIRST, 2 * writer.mark_capacity)
        marks = <Mark*> memory_resize(writer.marks, capacity * sizeof(Mark))
        if marks == NULL:
            writer_fail(writer)
            return
        writer.marks = marks
        writer.mark_capacity = capacity
    marks = writer.marks + writer.mark_count
    marks.offset = writer.size
    marks.start = start
    marks.size = size
    marks.block = block
    block_retain(block)
    writer.mark_count += 1
    writer.marked_bytes += size


cdef void write_raw_whole(Writer* writer, Block* block) noexcept nogil:
    if block.size < WRITER_BLOCK_BYTES_MIN:
        write_raw(writer, block.data, block.size)
    else:
        write_raw_block(writer, block, 0, block.size)


# --- strings

cdef void write_line(Writer* writer, char kind, const char* text, size_t size) noexcept nogil:
    """Kind, text, CR LF. REQUIRES: neither CR nor LF in the text."""
    cdef char* to = writer_room(writer, size + 3)
    if to == NULL:
        return
    to[0] = kind
    memcpy(to + 1, text, size)
    to[size + 1] = 13
    to[size + 2] = 10
    writer.size += size + 3


cdef void write_simple(Writer* writer, const char* text) noexcept nogil:
    write_line(writer, c'+', text, strlen(text))


cdef void write_error(Writer* writer, const char* text) noexcept nogil:
    write_line(writer, c'-', text, strlen(text))


cdef void write_error_part(Writer* writer, const char* text, size_t size) noexcept nogil:
    cdef size_t start = writer.size + 1, i
    write_line(writer, c'-', text, size)
    if writer.failed:
        return
    for i in range(start, start + size):
        if writer.data[i] == 13 or writer.data[i] == 10:
            writer.data[i] = 32


cdef void write_bulk_slowly(Writer* writer, const char* data, size_t size) noexcept nogil:
    write_header(writer, c'$', <int64_t> size)
    write_raw(writer, data, size)
    write_raw(writer, "\r\n", 2)


cdef void write_bulk_text(Writer* writer, const char* text) noexcept nogil:
    write_bulk(writer, text, strlen(text))


cdef void write_bulk_int(Writer* writer, int64_t number) noexcept nogil:
    cdef char[FORMAT_INT_BYTES] text
    write_bulk(writer, text, format_int(text, number))


cdef void write_value_part(Writer* writer, Bytes value, size_t start, size_t size) noexcept nogil:
    invariant(start <= value.size)
    invariant(size <= value.size - start)
    if value.block == NULL or size < WRITER_BLOCK_BYTES_MIN:
        write_bulk(writer, value.data + start, size)
        return
    write_header(writer, c'$', <int64_t> size)
    write_raw_block(writer, value.block, <size_t> (value.data - value.block.data) + start, size)
    write_raw(writer, "\r\n", 2)


cdef void write_verbatim(Writer* writer, const char* kind, const char* data, size_t size) noexcept nogil:
    if not writer.resp3:
        write_bulk(writer, data, size)
        return
    write_header(writer, c'=', <int64_t> size + 4)
    write_raw(writer, kind, 3)
    write_raw(writer, ":", 1)
    write_raw(writer, data, size)
    write_raw(writer, "\r\n", 2)


# --- headers and scalars

cdef void write_header(Writer* writer, char kind, int64_t number) noexcept nogil:
    cdef char* to = writer_room(writer, FORMAT_INT_BYTES + 3)
    cdef size_t size
    if to == NULL:
        return
    to[0] = kind
    size = 1 + format_int(to + 1, number)
    to[size] = 13
    to[size + 1] = 10
    writer.size += size + 2


cdef void write_null_array(Writer* writer) noexcept nogil:
    if writer.resp3:
        write_raw(writer, "_\r\n", 3)
    else:
        write_raw(writer, "*-1\r\n", 5)


cdef void write_array(Writer* writer, int64_t count) noexcept nogil:
    write_header(writer, c'*', count)


cdef void write_map(Writer* writer, int64_t pairs) noexcept nogil:
    if writer.resp3:
        write_header(writer, c'%', pairs)
    else:
        write_header(writer, c'*', 2 * pairs)


cdef void write_set(Writer* writer, int64_t count) noexcept nogil:
    write_header(writer, c'~' if writer.resp3 else c'*', count)


cdef void write_push(Writer* writer, int64_t count) noexcept nogil:
    write_header(writer, c'>' if writer.resp3 else c'*', count)


cdef void write_bool(Writer* writer, bint value) noexcept nogil:
    if writer.resp3:
        write_raw(writer, "#t\r\n" if value else "#f\r\n", 4)
    else:
        write_int(writer, 1 if value else 0)


cdef void write_double(Writer* writer, double value) noexcept nogil:
    cdef char[FORMAT_DOUBLE_BYTES] text
    cdef size_t size = format_double(text, value)
    if writer.resp3:
        write_line(writer, c',', text, size)
    else:
        write_bulk(writer, text, size)


cdef void write_big_number(Writer* writer, const char* digits, size_t size) noexcept nogil:
    if writer.resp3:
        write_line(writer, c'(', digits, size)
    else:
        write_bulk(writer, digits, size)


# --- numbers as text

cdef size_t format_int(char* text, int64_t number) noexcept nogil:
    cdef char[FORMAT_INT_BYTES] backwards
    cdef uint64_t value = <uint64_t> number if number >= 0 else 0 - <uint64_t> number
    cdef size_t at = FORMAT_INT_BYTES
    cdef unsigned int pair
    while value >= 100:
        pair = <unsigned int> (value % 100)
        value //= 100
        at -= 2
        backwards[at] = <char> (48 + pair // 10)
        backwards[at + 1] = <char> (48 + pair % 10)
    if value >= 10:
        at -= 1
        backwards[at] = <char> (48 + value % 10)
        value //= 10
    at -= 1
    backwards[at] = <char> (48 + value)
    if number < 0:
        at -= 1
        backwards[at] = c'-'
    memcpy(text, backwards + at, FORMAT_INT_BYTES - at)
    return FORMAT_INT_BYTES - at


cdef size_t format_double(char* text, double value) noexcept nogil:
    cdef char[DOUBLE_DIGITS_MAX] digits
    cdef size_t size = 0
    cdef int count, exponent = 0
    if isnan(value):
        memcpy(text, <const char*> "nan", 3)
        return 3
    if signbit(value):
        text[0] = c'-'
        size = 1
        value = -value
    if isinf(value):
        memcpy(text + size, <const char*> "inf", 3)
        return size + 3
    if value == 0:
        text[size] = c'0'
        return size + 1
    if value < <double> (INT64_MAX // 2) and <double> <int64_t> value == value:
        return size + format_int(text + size, <int64_t> value)
    count = shortest_digits(digits, value, &exponent)
    return size + lay_out(text + size, digits, count, exponent)


cdef bint next_decimal(char* text, double value) noexcept nogil:
    """Whether the decimal one unit up in the last place is `value`; then `text` becomes that. Below a power of two
    doubles lie closer than above it, so that the nearest decimal, if it is the lower one, may be another double."""
    cdef char* last = strchr(text, c'e') - 1
    if last[0] == c'9':
        return False
    last[0] += 1
    return strtod(text, NULL) == value


cdef int shortest_digits(char* digits, double value, int* exponent) noexcept nogil:
    """value == 0.d1d2d3... * 10 ** (exponent + count): the digits, how many, and the last one's power of ten."""
    cdef char[40] text
    cdef int precision = DOUBLE_DIGITS_MIN if value >= DBL_MIN else 1     # a subnormal has fewer
    cdef int count = 0
    cdef const char* at = text
    while True:
        snprintf(text, sizeof(text), "%.*e", precision - 1, value)
        if precision == DOUBLE_DIGITS_MAX or strtod(text, NULL) == value:
            break
        precision += 1
        if precision == DOUBLE_DIGITS_MAX and next_decimal(text, value):
            break
    while at[0] != c'e':               # whatever stands between the digits is the locale's point
        if 48 <= at[0] <= 57:
            digits[count] = at[0]
            count += 1
        at += 1
    exponent[0] = atoi(at + 1) - (count - 1)
    while count > 1 and digits[count - 1] == 48:
        count -= 1
        exponent[0] += 1
    return count


cdef size_t lay_out(char* text, const char* digits, int count, int exponent) noexcept nogil:
    """Plain where that is short, else d.ddde+x. At most 17 digits, 8 zeros and a point, or a point and 6 more bytes."""
    cdef int scale = exponent + count - 1        # of the first digit
    cdef int point = exponent + count            # digits before the decimal point
    cdef int magnitude = scale if scale >= 0 else -scale
    cdef size_t size
    if exponent >= 0 and magnitude < count + 7:
        memcpy(text, digits, count)
        memset(text + count, 48, exponent)
        return count + exponent
    if exponent < 0 and (exponent > -7 or magnitude < 4):
        if point > 0:
            memcpy(text, digits, point)
            text[point] = c'.'
            memcpy(text + point + 1, digits + point, count - point)
            return count + 1
        memcpy(text, <const char*> "0.", 2)
        memset(text + 2, 48, -point)
        memcpy(text + 2 - point, digits, count)
        return 2 - point + count
    text[0] = digits[0]
    size = 1
    if count > 1:
        text[1] = c'.'
        memcpy(text + 2, digits + 1, count - 1)
        size = count + 1
    text[size] = c'e'
    text[size + 1] = c'-' if scale < 0 else c'+'
    return size + 2 + format_int(text + size + 2, magnitude)
