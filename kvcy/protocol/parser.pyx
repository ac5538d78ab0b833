# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The request parser (parser.pxd): the fast path for whole commands.

parser_next takes a multibulk that lies whole and well-formed in the buffer in one pass, and what it shares with the
command before it (arguments.pxd: Opening) in two comparisons. At the first byte that is out of the ordinary (the end
of the buffer, an inline command, a negative or overlong number, an error) it writes down how far it got and leaves the
rest to the state machine of unfinished.pyx.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.block cimport Bytes, block_release, word_at
from kvcy.engine.platform cimport invariant, likely, unlikely
from kvcy.protocol.arguments cimport OPENING_BYTES_MAX, Opening
from kvcy.protocol.gathered cimport gathered_release
from kvcy.protocol.lengths cimport scan_length
from kvcy.protocol.progress cimport (
    PARSER_ARGS_MAX, PARSER_COUNT, PARSER_IDLE, PARSER_INLINE, PARSER_UNAUTHENTICATED_ARGS_MAX,
    PARSER_UNAUTHENTICATED_BULK_BYTES_MAX, PARSER_WHOLE)
from kvcy.protocol.unfinished cimport parser_begin, parser_resume, parser_suspend

cdef enum:
    BULK_BYTES_ON_WIRE_MIN = 6     # "$0", CR LF, CR LF


# --- the parser as a whole

cdef void parser_init(Parser* parser) noexcept nogil:
    memset(parser, 0, sizeof(Parser))
    parser.bulk_bytes_max = 512 * 1024 * 1024
    parser.authenticated = True


cdef void parser_close(Parser* parser) noexcept nogil:
    gathered_release(&parser.gathered)
    if parser.filling != NULL:
        block_release(parser.filling)
    parser_init(parser)


cdef void parser_take(Parser* parser, Gathered* gathered) noexcept nogil:
    invariant(parser.state == PARSER_WHOLE)
    gathered[0] = parser.gathered
    memset(&parser.gathered, 0, sizeof(Gathered))
    parser_begin(parser)


# --- the fast path

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
        return parser_resume(parser, start, size - offset[0], offset, arguments, argc)
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
            return parser_resume(parser, start, size - offset[0], offset, arguments, argc)
        at = scan_length(start + 1, end, &count)
        if unlikely(at == NULL or count - 1 >= PARSER_ARGS_MAX or
                    (not parser.authenticated and count > PARSER_UNAUTHENTICATED_ARGS_MAX)):
            parser.state = PARSER_COUNT
            return parser_resume(parser, start, size - offset[0], offset, arguments, argc)

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
    if not parser_suspend(parser, arguments, <uint32_t> count, <uint32_t> (to - arguments.at) - arguments.count, start):
        return PARSE_NO_MEMORY
    parser.position = parser.line = at - start
    return parser_resume(parser, start, size - offset[0], offset, arguments, argc)
