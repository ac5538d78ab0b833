# cython: language_level=3
"""Which connections a reactor has, and giving some of them to another reactor.

    trio thread                     the reactor that gives            the reactor that is given to
    loop_ask_to_give  --------->    loop_give, in its next turn  -->  its inbox: as a new connection

Only a connection with nothing under way is given: no byte of a command kept, no reply to be sent, no change to wait
for, nothing asked of Python. What belongs to its session (WATCH, MULTI, a name, a database) goes with it.
"""
from libc.stdint cimport uint32_t
from kvcy.server.connection cimport Connection, Loop

cdef void loop_link(Loop* loop, Connection* connection) noexcept nogil
cdef void loop_unlink(Loop* loop, Connection* connection) noexcept nogil
# Any thread, one at a time. Asks for `count` connections; without effect while the last wish is not fulfilled.
# REQUIRES: both loops live as long as one of them runs.
cdef void loop_ask_to_give(Loop* loop, Loop* target, uint32_t count) noexcept nogil
# Fulfils the wish, if there is one, as far as there are connections that were active in this second or the last. At the
# end of a turn, by the loop's thread.
cdef void loop_give(Loop* loop) noexcept nogil
# Frees the doomed, except those that are in another list still, or cannot be freed yet: their turn comes.
cdef void loop_bury(Loop* loop) noexcept nogil
