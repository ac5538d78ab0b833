# cython: language_level=3
"""What the parser hands out: the arguments of one command or of a batch of commands, one behind the other."""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes

cdef enum:
    ARGUMENTS_KEPT_MAX = 16384             # arguments_clear gives back an array larger than this
    OPENING_BYTES_MAX = 16

cdef enum ParseResult:
    PARSE_MORE = 0         # the buffer ends inside a command (or exactly at its end)
    PARSE_COMMAND = 1      # one command was appended (argc 0: an empty line or *0, to be skipped silently)
    PARSE_ERROR = 2        # `error` holds the text; the connection must be closed after sending it
    PARSE_NO_MEMORY = 3
    PARSE_WHOLE = 4        # one command has come in pieces, and is to be taken by itself (parser_take)

# What a command begins with, up to its second argument: "*2\r\n$3\r\nGET\r\n". Commands that come one behind the other
# mostly begin alike, so the last one's opening is kept, and a repetition is neither scanned nor looked up again.
cdef struct Opening:
    uint64_t head          # its first 8 bytes; 0: there is none, or it has more than OPENING_BYTES_MAX
    uint64_t tail          # its last 8 bytes
    uint32_t size
    uint32_t argc
    uint32_t name_at       # where argv[0] begins
    uint32_t name_size
    bint repeated          # the last command's opening was that of the one before

# A batch is owned by whoever runs it. Behind an inline command's arguments there may be one more entry, which is not
# counted in the argc of the command: it owns the block that they lie in.
cdef struct Arguments:
    Bytes* at
    uint32_t count
    uint32_t capacity
    bint owns_blocks       # some entry has a block, of which it owns one reference
    Opening opening        # of the last command the parser took

cdef void arguments_init(Arguments* arguments) noexcept nogil
# Room for `more` entries behind the present ones; false: no memory. Pointers into `at` become invalid.
cdef bint arguments_reserve(Arguments* arguments, size_t more) noexcept nogil
# Adds the entry that owns a block other entries point into, taking over a reference. REQUIRES: room for it.
cdef void arguments_own(Arguments* arguments, Block* block) noexcept nogil
cdef void arguments_release(Arguments* arguments) noexcept nogil     # arguments_clear's slow part
cdef void arguments_close(Arguments* arguments) noexcept nogil

cdef inline void arguments_clear(Arguments* arguments) noexcept nogil:
    """Empties it: releases blocks; gives back an array that has grown beyond reason."""
    if arguments.owns_blocks or arguments.capacity > ARGUMENTS_KEPT_MAX:
        arguments_release(arguments)
    arguments.count = 0
