# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The incremental request parser: RESP arrays of bulk strings, and inline commands.

It works in place on a caller's buffer and keeps, between calls, how far it is inside an unfinished command, so that a
command that comes in a thousand pieces is scanned once. The caller must hand it the unfinished command's bytes again,
from its first byte, at any address, with more behind them: offsets, not pointers, are remembered. A bulk string of
PARSER_BLOCK_BYTES_MIN bytes or more that is not whole in the buffer is received into a block of its own, which grows as
the bytes arrive (a length alone allocates nothing). Then the parser has taken everything it was given, what came before
in the same command included, and the caller keeps nothing of it.

    caller                                         parser
    ------                                         ------
    offset = 0
    parser_next(p, base, size, &offset, ...) --->  PARSE_COMMAND: one command's arguments were appended to `arguments`,
      again, while it says PARSE_COMMAND           offset is behind it
                                                   PARSE_MORE: the buffer ends inside a command, or at its end
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
from kvcy.engine.block cimport Bytes
# Named here too, for those who use a parser.
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_MORE, PARSE_NO_MEMORY, Arguments, ParseResult, arguments_clear, arguments_close,
    arguments_init, arguments_reserve)
from kvcy.protocol.progress cimport PARSER_BLOCK_BYTES_MIN, Parser

cdef void parser_init(Parser* parser) noexcept nogil      # 512 MiB a bulk, authenticated
cdef void parser_close(Parser* parser) noexcept nogil     # may be initialised again
# Looks for the next command in base[*offset:size], where base + *offset is the first byte of the command under way (or
# of the next one). PARSE_COMMAND: its arguments were appended to `arguments` (from index *first on, *argc of them),
# *offset moved behind it. They point into base, or into blocks (each of which `arguments` then owns one reference of,
# until arguments_clear). PARSE_MORE: the bytes from *offset on must be handed in again with more behind them.
# PARSE_ERROR is final. PARSE_NO_MEMORY: nothing was lost, the call may be repeated.
cdef ParseResult parser_next(Parser* parser, const char* base, size_t size, size_t* offset, Arguments* arguments,
                             uint32_t* first, uint32_t* argc) noexcept nogil

cdef inline size_t parser_array_bytes(const Parser* parser) noexcept nogil:
    """Of parser_memory_bytes, what is no block."""
    return parser.partial_capacity * sizeof(Bytes)

cdef inline size_t parser_memory_bytes(const Parser* parser) noexcept nogil:
    """Bytes held for the unfinished command besides the caller's buffer, blocks rounded up to KiB. Any thread may
    ask; it follows no pointer."""
    return parser_array_bytes(parser) + (<size_t> parser.blocks_kib << 10)
