# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The state machine for commands that do not lie whole and plain in the buffer: see unfinished.pxd.

What it remembers are offsets from the unfinished command's first byte: `line` is where the line under way begins and
`position` the byte up to which it was searched, so no byte is looked at twice. The arguments done are in `partial`:

    index < args_kept, no block     data is an offset into `kept`
    index >= args_kept, no block    data is an offset from the command's first byte
    with a block                    the whole content of the block, which the entry owns

When a bulk is received apart, the arguments before it are copied to `kept` and the buffer is given up; offsets then
count from the byte behind. A block being filled gets the bulk's bytes and the CR LF behind them, so that one recv can
bring the end of the command; the two are cut off again.

As in Redis a line ends at CR plus any byte, or at LF for an inline command, and what stands behind a bulk is not looked
at. Unlike there, a NUL inside a line is a byte like any other. Memory grows only with what arrived: an argument takes
at least 6 bytes on the wire and 24 bytes in an array.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from kvcy.engine.block cimport Block, Bytes, block_new, block_release, block_reserve
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.engine.platform cimport invariant
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_MORE, PARSE_NO_MEMORY, arguments_own, arguments_reserve)
from kvcy.protocol.lengths cimport scan_number
from kvcy.protocol.progress cimport (
    PARSER_ARGS_MAX, PARSER_BLOCK_BYTES_MIN, PARSER_BODY, PARSER_COUNT, PARSER_FAILED, PARSER_FILLING, PARSER_HEADER,
    PARSER_IDLE, PARSER_INLINE, PARSER_LINE_BYTES_MAX, PARSER_UNAUTHENTICATED_ARGS_MAX,
    PARSER_UNAUTHENTICATED_BULK_BYTES_MAX)
from kvcy.protocol.words cimport split_line

cdef enum Step:            # what one step of the state machine came to; else a ParseResult
    STEP_ON = 100          # go on

cdef enum:
    PARTIAL_MIN = 8
    BLOCK_FIRST_BYTES = 65536


cdef void begin_command(Parser* parser) noexcept nogil:
    """Nothing is under way. REQUIRES: what `partial` and `kept` owned has found a new owner."""
    memory_free(parser.partial)
    parser.partial = NULL
    parser.partial_capacity = 0
    parser.kept = NULL
    parser.blocks_kib = 0
    parser.state = PARSER_IDLE
    parser.args_expected = 0
    parser.args_done = 0
    parser.args_kept = 0
    parser.position = 0
    parser.line = 0
    parser.bulk_bytes = 0


cdef void note_blocks(Parser* parser) noexcept nogil:
    """To be called after each change of `kept` or `filling`."""
    cdef size_t bytes = 0
    if parser.kept != NULL:
        bytes += parser.kept.capacity
    if parser.filling != NULL:
        bytes += parser.filling.capacity
    parser.blocks_kib = <uint32_t> ((bytes + 1023) >> 10)


cdef ParseResult fail(Parser* parser, const char* text) noexcept nogil:
    parser.state = PARSER_FAILED
    parser.error = text
    return PARSE_ERROR


cdef bint parser_suspend(Parser* parser, Arguments* arguments, uint32_t count, uint32_t done,
                         const char* start) noexcept nogil:
    cdef const Bytes* entry = arguments.at + arguments.count
    cdef uint32_t i
    if done and not partial_reserve(parser, done):
        return False
    for i in range(done):
        parser.partial[i].data = <const char*> <size_t> (entry[i].data - start)
        parser.partial[i].size = entry[i].size
        parser.partial[i].block = NULL
    parser.args_done = done
    parser.args_expected = count
    parser.state = PARSER_HEADER
    return True


cdef bint partial_reserve(Parser* parser, size_t wanted) noexcept nogil:
    cdef size_t capacity
    cdef Bytes* partial
    if wanted <= parser.partial_capacity:
        return True
    capacity = max(wanted, 2 * <size_t> parser.partial_capacity, <size_t> PARTIAL_MIN)
    capacity = min(capacity, max(wanted, <size_t> parser.args_expected))
    partial = <Bytes*> memory_resize(parser.partial, capacity * sizeof(Bytes))
    if partial == NULL:
        return False
    parser.partial = partial
    parser.partial_capacity = <uint32_t> capacity
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
            if parser.args_done == parser.args_expected:
                return complete(parser, start, offset, arguments, argc)
            step = take_header(parser, start, size)
        elif parser.state == PARSER_COUNT:
            step = take_count(parser, start, size)
            if step == PARSE_COMMAND:
                offset[0] += parser.position
                begin_command(parser)
        elif parser.state == PARSER_FILLING:
            step = take_filling(parser, start, size, &taken)
            start += taken
            size -= taken
            offset[0] += taken
            offset_before = offset[0]
        elif parser.state == PARSER_INLINE:
            step = take_inline(parser, start, size, offset, arguments, argc)
        else:
            step = PARSE_ERROR
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
    if not partial_reserve(parser, <size_t> parser.args_done + 1):
        return PARSE_NO_MEMORY
    if size - parser.position >= parser.bulk_bytes + 2:
        entry = parser.partial + parser.args_done
        entry.data = <const char*> parser.position
        entry.size = parser.bulk_bytes
        entry.block = NULL
        parser.args_done += 1
        parser.position += parser.bulk_bytes + 2
        parser.line = parser.position
        parser.state = PARSER_HEADER
        return STEP_ON
    if parser.bulk_bytes < PARSER_BLOCK_BYTES_MIN:
        return PARSE_MORE
    return begin_filling(parser, start, size)


# --- large bulks

cdef bint keep_arguments(Parser* parser, const char* start) noexcept nogil:
    """Copies the arguments that lie in the caller's buffer to `kept`; false: no memory, nothing changed."""
    cdef size_t bytes_more = 0
    cdef uint32_t i
    cdef Bytes* entry
    cdef Block* kept
    if parser.args_kept == parser.args_done:
        return True
    for i in range(parser.args_kept, parser.args_done):
        bytes_more += parser.partial[i].size
    if parser.kept == NULL:
        kept = block_new(bytes_more)
    else:
        kept = block_reserve(parser.kept, parser.kept.size + bytes_more)
    if kept == NULL:
        return False
    parser.kept = kept
    note_blocks(parser)
    for i in range(parser.args_kept, parser.args_done):
        entry = parser.partial + i
        memcpy(kept.data + kept.size, start + <size_t> entry.data, entry.size)
        entry.data = <const char*> kept.size
        kept.size += entry.size
    parser.args_kept = parser.args_done
    return True


cdef int begin_filling(Parser* parser, const char* start, size_t size) noexcept nogil:
    """STEP_ON: all of the buffer was taken. REQUIRES: room in `partial` for this bulk."""
    cdef size_t here = size - parser.position
    cdef Block* block = block_new(min(parser.bulk_bytes + 2, max(2 * here, <size_t> BLOCK_FIRST_BYTES)))
    if block == NULL:
        return PARSE_NO_MEMORY
    if not keep_arguments(parser, start):
        block_release(block)
        return PARSE_NO_MEMORY
    memcpy(block.data, start + parser.position, here)
    block.size = here
    parser.filling = block
    note_blocks(parser)
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
        parser.filling = block
        note_blocks(parser)
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
    entry = parser.partial + parser.args_done
    entry.data = NULL
    entry.size = block.size
    entry.block = block
    parser.args_done += 1
    parser.args_kept = parser.args_done
    parser.filling = NULL
    note_blocks(parser)
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
    """Hands the arguments of `partial` over, and one more entry that owns `kept`."""
    cdef uint32_t count = parser.args_done, i
    cdef Bytes* to
    if not arguments_reserve(arguments, <size_t> count + 1):
        return PARSE_NO_MEMORY
    to = arguments.at + arguments.count
    for i in range(count):
        to[i] = parser.partial[i]
        if to[i].block != NULL:
            to[i].data = to[i].block.data
            arguments.owns_blocks = True
        elif i < parser.args_kept:
            to[i].data = parser.kept.data + <size_t> to[i].data
        else:
            to[i].data = start + <size_t> to[i].data
    arguments.count += count
    if parser.kept != NULL:
        arguments_own(arguments, parser.kept)
    argc[0] = count
    offset[0] += parser.position
    begin_command(parser)
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
        begin_command(parser)
    return result
