# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The request parser (parser.pxd): a fast path for whole commands, and a state machine for everything else.

parser_next takes a multibulk that lies whole and well-formed in the buffer in one pass, and what it shares with the
command before it (arguments.pxd: Opening) in two comparisons. At the first byte that is out
of the ordinary (the end of the buffer, an inline command, a negative or overlong number, an error) it writes down how
far it got and leaves the rest to the state machine, which goes on from there, now or when more has arrived:

                 '*'               count > 0                  length
    IDLE ------------> COUNT ----------------> HEADER <----------------> BODY
      |                  | count <= 0            ^  all done: command      | large, and not whole
      | anything else    v                       |                         v
      +---> INLINE ---> command                  +-----------------------FILLING

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
from libc.string cimport memchr, memcpy, memset

from kvcy.engine.block cimport Block, Bytes, block_new, block_release, block_reserve
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.engine.platform cimport invariant, likely, unlikely
from kvcy.protocol.arguments cimport OPENING_BYTES_MAX, Opening, arguments_own
from kvcy.protocol.lengths cimport scan_length, scan_number
from kvcy.protocol.words cimport split_line

cdef enum ParserState:
    PARSER_IDLE = 0        # between commands
    PARSER_INLINE          # the end of an inline command is awaited
    PARSER_COUNT           # the end of a multibulk's first line is awaited
    PARSER_HEADER          # the end of a bulk's first line is awaited
    PARSER_BODY            # a bulk's bytes are awaited
    PARSER_FILLING         # ... and received apart
    PARSER_FAILED

cdef enum Step:            # what one step of the state machine came to; else a ParseResult
    STEP_ON = 100          # go on

cdef enum:
    BULK_BYTES_ON_WIRE_MIN = 6     # "$0", CR LF, CR LF
    PARTIAL_MIN = 8
    BLOCK_FIRST_BYTES = 65536


# --- the parser as a whole

cdef void parser_init(Parser* parser) noexcept nogil:
    memset(parser, 0, sizeof(Parser))
    parser.bulk_bytes_max = 512 * 1024 * 1024
    parser.authenticated = True


cdef void parser_close(Parser* parser) noexcept nogil:
    cdef uint32_t i
    for i in range(parser.args_done):
        if parser.partial[i].block != NULL:
            block_release(parser.partial[i].block)
    if parser.kept != NULL:
        block_release(parser.kept)
    if parser.filling != NULL:
        block_release(parser.filling)
    memory_free(parser.partial)
    parser_init(parser)


cdef void begin_command(Parser* parser) noexcept nogil:
    """Nothing is under way. REQUIRES: what `partial` and `kept` owned has found a new owner."""
    memory_free(parser.partial)
    parser.partial = NULL
    parser.partial_capacity = 0
    parser.kept = NULL
    parser.state = PARSER_IDLE
    parser.args_expected = 0
    parser.args_done = 0
    parser.args_kept = 0
    parser.position = 0
    parser.line = 0
    parser.bulk_bytes = 0


cdef ParseResult fail(Parser* parser, const char* text) noexcept nogil:
    parser.state = PARSER_FAILED
    parser.error = text
    return PARSE_ERROR


# --- the fast path

cdef inline uint64_t word_at(const char* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline bint opening_repeats(const Opening* opening, const char* start, const char* end) noexcept nogil:
    """Whether the command at `start`, of which there are more bytes than any opening has, begins like the last one."""
    return (end - start >= OPENING_BYTES_MAX and word_at(start) == opening.head
            and word_at(start + opening.size - 8) == opening.tail)


cdef inline void opening_note(Opening* opening, const char* start, const Bytes* name, uint64_t argc) noexcept nogil:
    """Keeps the opening of a command that was scanned. What is kept is within every limit, also without a password."""
    cdef size_t size = name.data + name.size + 2 - start
    if size > OPENING_BYTES_MAX or argc > PARSER_UNAUTHENTICATED_ARGS_MAX:
        opening.head = 0
        return
    opening.head = word_at(start)
    opening.tail = word_at(start + size - 8)
    opening.size = <uint32_t> size
    opening.argc = <uint32_t> argc
    opening.name_at = <uint32_t> (name.data - start)
    opening.name_size = <uint32_t> name.size


cdef ParseResult parser_next(Parser* parser, const char* base, size_t size, size_t* offset, Arguments* arguments,
                             uint32_t* first, uint32_t* argc) noexcept nogil:
    cdef const char* start = base + offset[0]
    cdef const char* end = base + size
    cdef const char* at
    cdef const char* body
    cdef uint64_t count = 0, length = 0, bulk_bytes_max
    cdef Opening* opening = &arguments.opening
    cdef Bytes* to
    cdef Bytes* stop

    first[0] = arguments.count
    argc[0] = 0
    if unlikely(parser.state != PARSER_IDLE):
        return resume(parser, start, size - offset[0], offset, arguments, argc)
    if start == end:
        return PARSE_MORE
    bulk_bytes_max = parser.bulk_bytes_max if parser.authenticated else PARSER_UNAUTHENTICATED_BULK_BYTES_MAX
    opening.repeated = opening_repeats(opening, start, end)
    if opening.repeated:
        count = opening.argc
        at = start + opening.size
    else:
        if unlikely(start[0] != c'*'):
            parser.state = PARSER_INLINE
            return resume(parser, start, size - offset[0], offset, arguments, argc)
        at = scan_length(start + 1, end, &count)
        if unlikely(at == NULL or count - 1 >= PARSER_ARGS_MAX or
                    (not parser.authenticated and count > PARSER_UNAUTHENTICATED_ARGS_MAX)):
            parser.state = PARSER_COUNT
            return resume(parser, start, size - offset[0], offset, arguments, argc)

    # Each round that appends takes 6 bytes or more, so what is left bounds the room that can be needed.
    if unlikely(arguments.capacity - arguments.count < count):
        if not arguments_reserve(arguments, min(count, <uint64_t> (end - at) // BULK_BYTES_ON_WIRE_MIN)):
            return PARSE_NO_MEMORY
    to = arguments.at + arguments.count
    stop = to + count
    if opening.repeated:
        to.data = start + opening.name_at
        to.size = opening.name_size
        to.block = NULL
        to += 1
    while to != stop:
        if unlikely(end - at < BULK_BYTES_ON_WIRE_MIN or at[0] != c'$'):
            break
        body = scan_length(at + 1, end, &length)
        if unlikely(body == NULL or length > bulk_bytes_max or <uint64_t> (end - body) < length + 2):
            break
        to.data = body
        to.size = length
        to.block = NULL
        to += 1
        at = body + length + 2
    if likely(to == stop):
        if not opening.repeated:
            opening_note(opening, start, arguments.at + arguments.count, count)
        arguments.count += <uint32_t> count
        argc[0] = <uint32_t> count
        offset[0] = at - base
        return PARSE_COMMAND
    if not suspend(parser, arguments, <uint32_t> count, <uint32_t> (to - (arguments.at + arguments.count)), start):
        return PARSE_NO_MEMORY
    parser.position = parser.line = at - start
    return resume(parser, start, size - offset[0], offset, arguments, argc)


cdef bint suspend(Parser* parser, Arguments* arguments, uint32_t count, uint32_t done,
                  const char* start) noexcept nogil:
    """Moves the `done` entries behind arguments.count to `partial`, as offsets; false: no memory, nothing changed."""
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

cdef ParseResult resume(Parser* parser, const char* start, size_t size, size_t* offset, Arguments* arguments,
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
