# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The incremental request parser: RESP arrays of bulk strings, and inline commands.

It works in place on a caller's buffer and keeps, between calls, how far it is inside an unfinished command, so that a
command that comes in a thousand pieces is scanned once. The caller must hand it the unfinished command's bytes again,
from its first byte, at any address, with more behind them: offsets, not pointers, are remembered. Two things it does
not leave with the caller. A bulk string of PARSER_BLOCK_BYTES_MIN bytes or more that is not whole in the buffer is
received into a block of its own, which grows as the bytes arrive (a length alone allocates nothing). And the arguments
of an unfinished command that take PARSER_APART_BYTES_MIN bytes or more, or have such a bulk string behind them, are
gathered (gathered.pxd): the caller keeps no more than what has come of the next one. A command that was so received is
handed over by itself, without being copied.

    caller                                         parser
    ------                                         ------
    offset = 0
    parser_next(p, base, size, &offset, ...) --->  PARSE_COMMAND: one command's arguments were appended to `arguments`,
      again, while it says PARSE_COMMAND           offset is behind it
                                                   PARSE_MORE: the buffer ends inside a command, or at its end
    parser_take(p, &gathered)                 <--- PARSE_WHOLE, again and again until it is taken
    keeps base[offset : size], which it hands in again, first byte first, with what it receives behind it
    or, if p.filling (then offset == size): may receive into parser_fill_room(p, &room), then parser_filled(p, n), until
    p.filling is NULL again, and goes on with parser_next. Bytes handed to parser_next while filling are taken, too.

Limits and error texts are Redis's: "Protocol error: invalid multibulk length", "Protocol error: invalid bulk length",
"Protocol error: expected '$', got 'x'", "Protocol error: too big mbulk count string",
"Protocol error: too big bulk count string", "Protocol error: too big inline request",
"Protocol error: unbalanced quotes in request", and before authentication
"Protocol error: unauthenticated multibulk length", "Protocol error: unauthenticated bulk length".
A text has no "-ERR " in front.
"""
from libc.stdint cimport uint32_t
from kvcy.engine.platform cimport load_relaxed_u32
# Named here too, for those who use a parser.
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_MORE, PARSE_NO_MEMORY, PARSE_WHOLE, Arguments, ParseResult, arguments_clear,
    arguments_close, arguments_init, arguments_reserve)
from kvcy.protocol.gathered cimport Gathered, gathered_bytes
from kvcy.protocol.progress cimport PARSER_BLOCK_BYTES_MIN, Parser

cdef void parser_init(Parser* parser) noexcept nogil      # 512 MiB a bulk, authenticated
cdef void parser_close(Parser* parser) noexcept nogil     # may be initialised again
# Looks for the next command in base[*offset:size], where base + *offset is the first byte of the command under way (or
# of the next one). PARSE_COMMAND: its arguments were appended to `arguments` (from index *first on, *argc of them),
# *offset moved behind it. They point into base, or into blocks (each of which `arguments` then owns one reference of,
# until arguments_clear). PARSE_MORE: the bytes from *offset on must be handed in again with more behind them.
# PARSE_WHOLE: *offset is behind the command, which parser_take gives. PARSE_ERROR is final. PARSE_NO_MEMORY: nothing
# was lost, the call may be repeated.
cdef ParseResult parser_next(Parser* parser, const char* base, size_t size, size_t* offset, Arguments* arguments,
                             uint32_t* first, uint32_t* argc) noexcept nogil
# Hands over the command of PARSE_WHOLE, which the caller owns then; the parser is between commands.
cdef void parser_take(Parser* parser, Gathered* gathered) noexcept nogil

cdef inline size_t parser_array_bytes(const Parser* parser) noexcept nogil:
    """Of parser_memory_bytes, what is no block."""
    return gathered_bytes(&parser.gathered)

cdef inline size_t parser_filling_bytes(const Parser* parser) noexcept nogil:
    """The rest of them. Any thread may ask; it follows no pointer."""
    return <size_t> load_relaxed_u32(&parser.filling_kib) << 10

cdef inline size_t parser_memory_bytes(const Parser* parser) noexcept nogil:
    """Bytes held for the unfinished command besides the caller's buffer, a bulk's rounded up to KiB."""
    return parser_array_bytes(parser) + parser_filling_bytes(parser)
