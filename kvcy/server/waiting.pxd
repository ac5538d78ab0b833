# cython: language_level=3
"""Connections that wait: for the log, for the shutdown's end, or for too long. Called by the reactor, once a turn."""
from kvcy.server.connection cimport Connection, Loop

# Shutdown: reads only what the socket holds now, then leaves.
cdef void connection_drain(Loop* loop, Connection* connection) noexcept nogil
# The sweep over all connections, which closes those that are idle or have not read for too long. A timer in the loop's
# epoll, not a timeout of each wait, begins it once a second: waits without a timeout cost less.
cdef bint sweep_init(Loop* loop) noexcept nogil      # makes the timer. False: errno says why
cdef void sweep_close(Loop* loop) noexcept nogil
cdef void sweep_begin(Loop* loop) noexcept nogil     # the timer's event has come
cdef void sweep_some(Loop* loop) noexcept nogil      # goes on with a sweep that is under way
# Finds the gated whose gates the log has passed meanwhile, which are to be released; asks to be woken for the others.
cdef void gated_look(Loop* loop) noexcept nogil
# Sends to some of those that are to be released, in the order in which they came.
cdef void gated_release(Loop* loop) noexcept nogil
# Wakes the log's flusher when there is something for it and nothing more has come, or it has waited long enough: one
# sync for many is cheaper than many. `idle`: this turn had no events.
cdef void kick_log(Loop* loop, bint idle) noexcept nogil
# Whether there is nothing to do but to try again what long commands are in the way of. `ready` go on in this turn.
cdef bint helpers_are_awaited(const Loop* loop, const Connection* ready) noexcept nogil
# Whether it may not be freed now: ending its watches takes locks that a long command may hold.
cdef bint unwatching_waits(const Loop* loop, const Connection* connection) noexcept nogil
