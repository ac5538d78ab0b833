# cython: language_level=3
"""What a request parser knows: its limits, and how far it is inside an unfinished command."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block
from kvcy.protocol.gathered cimport Gathered

cdef enum:
    PARSER_BLOCK_BYTES_MIN = 32768
    PARSER_LINE_BYTES_MAX = 65536          # an inline command, or the line of a count
    PARSER_APART_BYTES_MIN = 16384         # of an unfinished command: its arguments so far are gathered
    PARSER_ARGS_MAX = 2147483647           # as Redis >= 7; arrays grow with what arrives
    PARSER_UNAUTHENTICATED_ARGS_MAX = 10
    PARSER_UNAUTHENTICATED_BULK_BYTES_MAX = 16384

cdef struct Parser:        # small: one a connection; what is large is allocated only while unfinished
    # limits
    uint64_t bulk_bytes_max         # proto-max-bulk-len
    uint8_t authenticated           # 0: at most 10 arguments and 16,384 bytes a bulk
    # progress inside an unfinished command, private to unfinished.pyx
    uint8_t state                   # ParserState; PARSER_IDLE between commands
    uint32_t filling_kib            # atomic: what `filling` holds, for other threads, since blocks move
    Gathered gathered               # the arguments done; data of those in the caller's buffer is an offset
    uint32_t args_expected          # of the multibulk under way
    uint32_t args_apart             # of the arguments done, how many no longer lie in the caller's buffer
    size_t position                 # the next byte to look at, counted from the byte at *offset
    size_t line                     # where the line under way begins, counted likewise
    uint64_t bulk_bytes             # length of the bulk whose bytes are awaited
    Block* filling                  # the bulk that is being received apart, or NULL
    const char* error               # NULL, or a static text, or error_text; stays
    char error_text[40]

cdef enum ParserState:
    PARSER_IDLE = 0        # between commands
    PARSER_INLINE          # the end of an inline command is awaited
    PARSER_COUNT           # the end of a multibulk's first line is awaited
    PARSER_HEADER          # the end of a bulk's first line is awaited
    PARSER_BODY            # a bulk's bytes are awaited
    PARSER_FILLING         # ... and received apart
    PARSER_WHOLE           # a command that came in pieces is complete, and waits to be taken
    PARSER_FAILED
