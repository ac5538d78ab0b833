# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The state machine for commands that do not lie whole and plain in the buffer: see unfinished.pxd.

What it remembers are offsets from the unfinished command's first byte: `line` is where the line under way begins and
`position` the byte up to which it was searched, so no byte is looked at twice. The arguments done are in `gathered`:

    index < args_apart      data is an address, in a chunk or a block
    index >= args_apart     data is an offset from the command's first byte

When a bulk is received apart, or much of the command has come, the arguments done are copied to a chunk and the buffer
is given up; offsets then count from the byte behind. A block being filled gets the bulk's bytes and the CR LF behind
them, so that one recv can bring the end of the command; the two are cut off again.

As in Redis a line ends at CR plus any byte, or at LF for an inline command, and what stands behind a bulk is not looked
at. Unlike there, a NUL inside a line is a byte like any other. Memory grows only with what arrived: an argument takes
at least 6 bytes on the wire and 24 bytes in an array.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from kvcy.engine.block cimport Block, Bytes, block_new, block_release, block_reserve
from kvcy.engine.platform cimport invariant, store_relaxed_u32
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_MORE, PARSE_NO_MEMORY, PARSE_WHOLE, arguments_reserve)
from kvcy.protocol.gathered cimport Gathered, gathered_release, gathered_reserve, gathered_room
from kvcy.protocol.lengths cimport scan_number
from kvcy.protocol.progress cimport (
    PARSER_APART_BYTES_MIN, PARSER_ARGS_MAX, PARSER_BLOCK_BYTES_MIN, PARSER_BODY, PARSER_COUNT, PARSER_FAILED,
    PARSER_FILLING, PARSER_HEADER, PARSER_IDLE, PARSER_INLINE, PARSER_LINE_BYTES_MAX, PARSER_UNAUTHENTICATED_ARGS_MAX,
    PARSER_UNAUTHENTICATED_BULK_BYTES_MAX, PARSER_WHOLE)
from kvcy.protocol.words cimport split_line

cdef enum Step:            # what one step of the state machine came to; else a ParseResult
    STEP_ON = 100          # go on

cdef enum:
    BLOCK_FIRST_BYTES = 65536


cdef void parser_begin(Parser* parser) noexcept nogil:
    gathered_release(&parser.gathered)
    store_relaxed_u32(&parser.filling_kib, 0)
    parser.state = PARSER_IDLE
    parser.args_expected = 0
    parser.args_apart = 0
    parser.position = 0
    parser.line = 0
    parser.bulk_bytes = 0


cdef inline void set_filling(Parser* parser, Block* block) noexcept nogil:
    """`filling` becomes the block, or none; or the same, which has grown."""
    parser.filling = block
    store_relaxed_u32(&parser.filling_kib, <uint32_t> ((block.capacity + 1023) >> 10) if block != NULL else 0)


cdef ParseResult fail(Parser* parser, const char* text) noexcept nogil:
    parser.state = PARSER_FAILED
    parser.error = text
    return PARSE_ERROR


cdef bint parser_suspend(Parser* parser, Arguments* arguments, uint32_t count, uint32_t done,
                         const char* start) noexcept nogil:
    cdef const Bytes* entry = arguments.at + arguments.count
    cdef uint32_t i
    if done and not gathered_reserve(&parser.gathered, done, count):
        return False
    for i in range(done):
        parser.gathered.at[i].data = <const char*> <size_t> (entry[i].data - start)
        parser.gathered.at[i].size = entry[i].size
        parser.gathered.at[i].block = NULL
    parser.gathered.count = done
    parser.args_expected = count
    parser.state = PARSER_HEADER
    return True


# --- the state machine: `start` is the unfinished command's first byte, `size` what there is from it on

cdef ParseResult parser_resume(Parser* parser, const char* start, size_t size, size_t* offset, Arguments* arguments,
                               uint32_t* argc) noexcept nogil:
    cdef size_t offset_before = offset[0]
    cdef int step = STEP_ON
    cdef size_t taken = 0
    arguments.opening.head = 0
    arguments.opening.repeated = False
    while step == STEP_ON:
        if parser.state == PARSER_BODY:
            step = take_body(parser, start, size)
            if step == STEP_ON and parser.state == PARSER_FILLING:
                offset[0] = offset_before + size
                return PARSE_MORE
        elif parser.state == PARSER_HEADER:
            if parser.gathered.count == parser.args_expected:
                return complete(parser, start, offset, arguments, argc)
            step = take_header(parser, start, size)
        elif parser.state == PARSER_COUNT:
            step = take_count(parser, start, size)
            if step == PARSE_COMMAND:
                offset[0] += parser.position
                parser_begin(parser)
        elif parser.state == PARSER_FILLING:
            step = take_filling(parser, start, size, &taken)
            start += taken
            size -= taken
            offset[0] += taken
            offset_before = offset[0]
        elif parser.state == PARSER_INLINE:
            step = take_inline(parser, start, size, offset, arguments, argc)
        else:
            step = PARSE_WHOLE if parser.state == PARSER_WHOLE else PARSE_ERROR
    if step == PARSE_MORE and parser.line >= PARSER_APART_BYTES_MIN and parser.gathered.count:
        return give_up_buffer(parser, start, offset)
    return <ParseResult> step


cdef int find_line_end(Parser* parser, const char* start, size_t size, char mark, const char* too_big) noexcept nogil:
    """STEP_ON: `position` is at the mark that ends the line. A line is too big by its own length alone."""
    cdef size_t limit = min(size, parser.line + PARSER_LINE_BYTES_MAX + 1)
    cdef const char* found = NULL
    if limit > parser.position:
        found = <const char*> memchr(start + parser.position, mark, limit - parser.position)
    if found != NULL:
        parser.position = found - start
        return STEP_ON
    parser.position = limit
    if limit - parser.line > PARSER_LINE_BYTES_MAX:
        return fail(parser, too_big)
    return PARSE_MORE


cdef int take_count(Parser* parser, const char* start, size_t size) noexcept nogil:
    """The line "*<count>". PARSE_COMMAND: a count of nothing, an empty command."""
    cdef int64_t count = 0
    cdef int step = find_line_end(parser, start, size, 13, "Protocol error: too big mbulk count string")
    if step != STEP_ON:
        return step
    if size - parser.position < 2:
        return PARSE_MORE
    if not scan_number(start + 1, parser.position - 1, &count) or count > PARSER_ARGS_MAX:
        return fail(parser, "Protocol error: invalid multibulk length")
    if count > PARSER_UNAUTHENTICATED_ARGS_MAX and not parser.authenticated:
        return fail(parser, "Protocol error: unauthenticated multibulk length")
    parser.position += 2
    parser.line = parser.position
    if count <= 0:
        return PARSE_COMMAND
    parser.args_expected = <uint32_t> count
    parser.state = PARSER_HEADER
    return STEP_ON


cdef int take_header(Parser* parser, const char* start, size_t size) noexcept nogil:
    """The line "$<length>"."""
    cdef int64_t length = 0
    cdef size_t line = parser.line
    cdef int step = find_line_end(parser, start, size, 13, "Protocol error: too big bulk count string")
    if step != STEP_ON:
        return step
    if size - parser.position < 2:
        return PARSE_MORE
    if start[line] != c'$':
        return fail_expected(parser, start[line])
    if (not scan_number(start + line + 1, parser.position - line - 1, &length) or length < 0 or
            <uint64_t> length > parser.bulk_bytes_max):
        return fail(parser, "Protocol error: invalid bulk length")
    if length > PARSER_UNAUTHENTICATED_BULK_BYTES_MAX and not parser.authenticated:
        return fail(parser, "Protocol error: unauthenticated bulk length")
    parser.position += 2
    parser.line = parser.position
    parser.bulk_bytes = <uint64_t> length
    parser.state = PARSER_BODY
    return STEP_ON


cdef int fail_expected(Parser* parser, char got) noexcept nogil:
    memcpy(parser.error_text, <const char*> "Protocol error: expected '$', got 'x'", 38)
    parser.error_text[35] = 32 if got == 13 or got == 10 else got
    return fail(parser, parser.error_text)


cdef int take_body(Parser* parser, const char* start, size_t size) noexcept nogil:
    """A bulk's bytes and two more; or the beginning of receiving them apart."""
    cdef Bytes* entry
    if not gathered_reserve(&parser.gathered, <size_t> parser.gathered.count + 1, parser.args_expected):
        return PARSE_NO_MEMORY
    if size - parser.position >= parser.bulk_bytes + 2:
        entry = parser.gathered.at + parser.gathered.count
        entry.data = <const char*> parser.position
        entry.size = parser.bulk_bytes
        entry.block = NULL
        parser.gathered.count += 1
        parser.position += parser.bulk_bytes + 2
        parser.line = parser.position
        parser.state = PARSER_HEADER
        return STEP_ON
    if parser.bulk_bytes < PARSER_BLOCK_BYTES_MIN:
        return PARSE_MORE
    return begin_filling(parser, start, size)


# --- what does not stay in the caller's buffer

cdef bint gather(Parser* parser, const char* start) noexcept nogil:
    """Copies the arguments that lie in the caller's buffer to a chunk; false: no memory, nothing changed."""
    cdef Gathered* gathered = &parser.gathered
    cdef char* to = <char*> ""            # where nothing is to be copied
    cdef size_t size = 0
    cdef uint32_t i
    cdef Bytes* entry
    for i in range(parser.args_apart, gathered.count):
        size += gathered.at[i].size
    if size:
        to = gathered_room(gathered, size)
        if to == NULL:
            return False
    for i in range(parser.args_apart, gathered.count):
        entry = gathered.at + i
        if entry.size:
            memcpy(to, start + <size_t> entry.data, entry.size)
        entry.data = to
        to += entry.size
    parser.args_apart = gathered.count
    return True


cdef ParseResult give_up_buffer(Parser* parser, const char* start, size_t* offset) noexcept nogil:
    """Leaves to the caller only what comes behind the arguments done and the header that is under way."""
    if not gather(parser, start):
        return PARSE_NO_MEMORY
    offset[0] += parser.line
    parser.position -= parser.line
    parser.line = 0
    return PARSE_MORE


cdef int begin_filling(Parser* parser, const char* start, size_t size) noexcept nogil:
    """STEP_ON: all of the buffer was taken. REQUIRES: room in `gathered` for this bulk."""
    cdef size_t here = size - parser.position
    cdef Block* block = block_new(min(parser.bulk_bytes + 2, max(2 * here, <size_t> BLOCK_FIRST_BYTES)))
    if block == NULL:
        return PARSE_NO_MEMORY
    if not gather(parser, start):
        block_release(block)
        return PARSE_NO_MEMORY
    memcpy(block.data, start + parser.position, here)
    block.size = here
    set_filling(parser, block)
    parser.position = 0
    parser.line = 0
    parser.state = PARSER_FILLING
    return STEP_ON


cdef char* parser_fill_room(Parser* parser, size_t* room) noexcept nogil:
    cdef Block* block = parser.filling
    cdef size_t whole = parser.bulk_bytes + 2
    if block == NULL:
        room[0] = 0
        return NULL
    if block.size == block.capacity:
        block = block_reserve(block, min(whole, 2 * block.size))
        if block == NULL:
            room[0] = 1
            return NULL
        set_filling(parser, block)
    room[0] = min(block.capacity, whole) - block.size
    return block.data + block.size


cdef void parser_filled(Parser* parser, size_t size) noexcept nogil:
    cdef Block* block = parser.filling
    cdef Bytes* entry
    block.size += size
    invariant(block.size <= parser.bulk_bytes + 2)
    if block.size < parser.bulk_bytes + 2:
        return
    block.size = parser.bulk_bytes
    entry = parser.gathered.at + parser.gathered.count
    entry.data = block.data
    entry.size = block.size
    entry.block = block
    parser.gathered.count += 1
    parser.gathered.block_bytes += block.size
    parser.args_apart = parser.gathered.count
    set_filling(parser, NULL)
    parser.state = PARSER_HEADER


cdef int take_filling(Parser* parser, const char* start, size_t size, size_t* taken) noexcept nogil:
    """Bytes that came by way of the caller's buffer after all."""
    cdef size_t room = 0, part
    cdef char* to
    taken[0] = 0
    while parser.filling != NULL:
        if taken[0] == size:
            return PARSE_MORE
        to = parser_fill_room(parser, &room)
        if to == NULL:
            return PARSE_NO_MEMORY
        part = min(room, size - taken[0])
        memcpy(to, start + taken[0], part)
        parser_filled(parser, part)
        taken[0] += part
    return STEP_ON


cdef ParseResult complete(Parser* parser, const char* start, size_t* offset, Arguments* arguments,
                          uint32_t* argc) noexcept nogil:
    """Appends the arguments, if all lie in the caller's buffer; else the command waits to be taken."""
    cdef uint32_t count = parser.gathered.count, i
    cdef Bytes* to
    if parser.args_apart:
        if not gather(parser, start):
            return PARSE_NO_MEMORY
        offset[0] += parser.position
        parser.position = parser.line = 0
        parser.state = PARSER_WHOLE
        return PARSE_WHOLE
    if not arguments_reserve(arguments, count):
        return PARSE_NO_MEMORY
    to = arguments.at + arguments.count
    for i in range(count):
        to[i] = parser.gathered.at[i]
        to[i].data = start + <size_t> to[i].data
    arguments.count += count
    argc[0] = count
    offset[0] += parser.position
    parser_begin(parser)
    return PARSE_COMMAND


# --- inline commands

cdef int take_inline(Parser* parser, const char* start, size_t size, size_t* offset, Arguments* arguments,
                     uint32_t* argc) noexcept nogil:
    """A line up to LF, which a CR may precede."""
    cdef size_t length
    cdef ParseResult result
    cdef int step = find_line_end(parser, start, size, 10, "Protocol error: too big inline request")
    if step != STEP_ON:
        return step
    length = parser.position
    if length and start[length - 1] == 13:
        length -= 1
    result = split_line(start, length, arguments, argc)
    if result == PARSE_ERROR:
        return fail(parser, "Protocol error: unbalanced quotes in request")
    if result == PARSE_COMMAND:
        offset[0] += parser.position + 1
        parser_begin(parser)
    return result
