# cython: language_level=3
"""The incremental request parser: RESP arrays of bulk strings, and inline commands.

It works in place on a caller's buffer and keeps, between calls, how far it is inside an unfinished command, so that a
command that comes in a thousand pieces is scanned once. The caller must hand it the unfinished command's bytes again,
from its first byte, at any address, with more behind them: offsets, not pointers, are remembered. A bulk string of
PARSER_BLOCK_BYTES_MIN bytes or more that is not whole in the buffer is received into a block of its own, which grows as the
bytes arrive (a length alone allocates nothing).

    caller                                   parser
    ------                                   ------
    parser_feed(p, base, size)  ---------->  takes commands one by one: PARSE_COMMAND each
      consumed = p.position                  argv/argc: valid until the next call (point into base, or into blocks)
    keeps base[p.kept_from : size] as the unfinished command's bytes
    if p.filling: receives into parser_fill_room(p, &room), then parser_filled(p, n)

Limits and error texts are Redis's: "Protocol error: invalid multibulk length", "Protocol error: invalid bulk length",
"Protocol error: expected '$', got 'x'", "Protocol error: too big mbulk count string",
"Protocol error: too big bulk count string", "Protocol error: too big inline request",
"Protocol error: unbalanced quotes in request", and before authentication
"Protocol error: unauthenticated multibulk length", "Protocol error: unauthenticated bulk length".
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes

cdef enum:
    PARSER_BLOCK_BYTES_MIN = 32768
    PARSER_INLINE_BYTES_MAX = 65536
    PARSER_ARGS_MAX = 1048576              # 1024 * 1024 (2^31 - 1 in Redis >= 7 after authentication; see parser.pyx)

cdef enum ParseResult:
    PARSE_MORE = 0         # the buffer ends inside a command (or exactly at its end)
    PARSE_COMMAND = 1      # argv and argc hold one command (argc 0: an empty line or *0, to be skipped silently)
    PARSE_ERROR = 2        # `error` holds the text; the connection must be closed after sending it
    PARSE_NO_MEMORY = 3

cdef struct Arguments:     # arguments of one or many commands of a batch; grows; owned by whoever runs the batch
    Bytes* at
    uint32_t count
    uint32_t capacity

cdef struct Parser:        # small: one a connection, 64 bytes or so; what is large is allocated only while unfinished
    # limits
    bint authenticated     # false: at most 10 arguments and 16,384 bytes a bulk
    uint64_t bulk_bytes_max         # proto-max-bulk-len
    # progress inside an unfinished command; the implementation adds private fields
    uint32_t args_expected          # of the multibulk under way; 0: none
    uint32_t args_done
    size_t position                 # offset of the next byte to look at, from the base handed in
    Bytes* partial                  # arguments of the unfinished command so far: data holds offsets unless block is set
    uint32_t partial_capacity
    Block* filling                  # the bulk string that is received apart, or NULL
    uint64_t filling_bytes          # its full length
    const char* error               # static text, or `error_text`
    char error_text[48]

cdef void parser_init(Parser* parser) noexcept nogil
cdef void parser_close(Parser* parser) noexcept nogil
# Looks for the next command in base[*offset:size], where base + *offset is the first byte of the command under way (or of the
# next one). PARSE_COMMAND: its arguments were appended to `arguments` (from index *first on, *argc of them), *offset moved
# behind it. They point into base, or into blocks (each of which the arguments then own one reference of, until
# arguments_clear). PARSE_MORE: the bytes from *offset on must be handed in again with more behind them.
cdef ParseResult parser_next(Parser* parser, const char* base, size_t size, size_t* offset, Arguments* arguments,
                             uint32_t* first, uint32_t* argc) noexcept nogil
# While parser.filling: where the next bytes from the socket go, and how many at most (room made as bytes arrive); NULL: no memory.
cdef char* parser_fill_room(Parser* parser, size_t* room) noexcept nogil
# `size` bytes were put there.
cdef void parser_filled(Parser* parser, size_t size) noexcept nogil
# Bytes held for the unfinished command besides the caller's buffer.
cdef size_t parser_memory_bytes(const Parser* parser) noexcept nogil

cdef void arguments_init(Arguments* arguments) noexcept nogil
cdef void arguments_clear(Arguments* arguments) noexcept nogil       # releases blocks; shrinks what has grown beyond reason
cdef void arguments_close(Arguments* arguments) noexcept nogil
