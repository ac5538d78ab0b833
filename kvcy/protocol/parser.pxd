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
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes
# Named here too, for those who use a parser.
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_MORE, PARSE_NO_MEMORY, Arguments, ParseResult, arguments_clear, arguments_close,
    arguments_init, arguments_reserve)

cdef enum:
    PARSER_BLOCK_BYTES_MIN = 32768
    PARSER_LINE_BYTES_MAX = 65536          # an inline command, or the line of a count
    PARSER_ARGS_MAX = 2147483647           # as Redis >= 7; arrays grow with what arrives
    PARSER_UNAUTHENTICATED_ARGS_MAX = 10
    PARSER_UNAUTHENTICATED_BULK_BYTES_MAX = 16384

cdef struct Parser:        # small: one a connection; what is large is allocated only while unfinished
    # limits
    uint64_t bulk_bytes_max         # proto-max-bulk-len
    bint authenticated              # false: at most 10 arguments and 16,384 bytes a bulk
    # progress inside an unfinished command, private to parser.pyx
    uint8_t state                   # ParserState; PARSER_IDLE between commands
    uint32_t args_expected          # of the multibulk under way
    uint32_t args_done
    uint32_t args_kept              # of those, how many no longer lie in the caller's buffer
    uint32_t partial_capacity
    Bytes* partial                  # the arguments done: owns its blocks; without one, data is an offset
    size_t position                 # the next byte to look at, counted from the byte at *offset
    size_t line                     # where the line under way begins, counted likewise
    uint64_t bulk_bytes             # length of the bulk whose bytes are awaited
    Block* kept                     # bytes of the arguments whose buffer was given up when a bulk was received apart
    Block* filling                  # the bulk that is being received apart, or NULL
    const char* error               # NULL, or a static text, or error_text; stays
    char error_text[40]

cdef void parser_init(Parser* parser) noexcept nogil      # 512 MiB a bulk, authenticated
cdef void parser_close(Parser* parser) noexcept nogil     # may be initialised again
# Looks for the next command in base[*offset:size], where base + *offset is the first byte of the command under way (or
# of the next one). PARSE_COMMAND: its arguments were appended to `arguments` (from index *first on, *argc of them),
# *offset moved behind it. They point into base, or into blocks (each of which `arguments` then owns one reference of,
# until arguments_clear). PARSE_MORE: the bytes from *offset on must be handed in again with more behind them.
# PARSE_ERROR is final. PARSE_NO_MEMORY: nothing was lost, the call may be repeated.
cdef ParseResult parser_next(Parser* parser, const char* base, size_t size, size_t* offset, Arguments* arguments,
                             uint32_t* first, uint32_t* argc) noexcept nogil
# While parser.filling: where the next bytes from the socket go, and how many at most (room made as bytes arrive).
# NULL: not filling (room 0) or no memory (room 1).
cdef char* parser_fill_room(Parser* parser, size_t* room) noexcept nogil
# `size` bytes (at most that room) were put there. The last ones end the filling: parser.filling is NULL again, and
# parser_next goes on, even on an empty buffer: the command may be complete.
cdef void parser_filled(Parser* parser, size_t size) noexcept nogil
cdef inline size_t parser_memory_bytes(const Parser* parser) noexcept nogil:
    """Bytes held for the unfinished command besides the caller's buffer."""
    cdef inline size_t size = parser.partial_capacity * sizeof(Bytes)
    if parser.kept != NULL:
        size += parser.kept.capacity
    if parser.filling != NULL:
        size += parser.filling.capacity
    return size
