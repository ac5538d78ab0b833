# cython: language_level=3
"""The part of the request parser that takes what is not a whole, plain command in the buffer: a state machine that goes
on where it was, now or when more has arrived.

                 '*'               count > 0                  length
    IDLE ------------> COUNT ----------------> HEADER <----------------> BODY
      |                  | count <= 0           | ^  all done: command     | large, and not whole
      | anything else    v                      | |                        v
      +---> INLINE ---> command                 | +----------------------FILLING
                                                +---> WHOLE, if something was apart ---> command, when it is taken
"""
from libc.stdint cimport uint32_t
from kvcy.protocol.arguments cimport Arguments, ParseResult
from kvcy.protocol.progress cimport Parser

# Goes on; `start` is the unfinished command's first byte, `size` what there is from it on, the rest as in parser_next.
cdef ParseResult parser_resume(Parser* parser, const char* start, size_t size, size_t* offset, Arguments* arguments,
                               uint32_t* argc) noexcept nogil
# Moves the `done` entries behind arguments.count to `gathered`, as offsets: a multibulk of `count` that is unfinished.
# False: no memory, nothing changed.
cdef bint parser_suspend(Parser* parser, Arguments* arguments, uint32_t count, uint32_t done,
                         const char* start) noexcept nogil
# Nothing is under way any more. REQUIRES: `gathered` is empty, or what is in it has found a new owner.
cdef void parser_begin(Parser* parser) noexcept nogil
# While parser.filling: where the next bytes from the socket go, and how many at most (room made as bytes arrive).
# NULL: not filling (room 0) or no memory (room 1).
cdef char* parser_fill_room(Parser* parser, size_t* room) noexcept nogil
# `size` bytes (at most that room) were put there. The last ones end the filling: parser.filling is NULL again, and
# parser_next goes on, even on an empty buffer: the command may be complete.
cdef void parser_filled(Parser* parser, size_t size) noexcept nogil
