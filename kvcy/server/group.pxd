# cython: language_level=3
"""Connections whose bytes have come together are served together, phase by phase.

    receive, parse   each                    the kernel's code stays warm, then the parser's
    prefetch         slots, then entries     of all of them: their misses overlap
    execute          each                    a short reply is set aside
    send             each

What a single client's pipeline gains from being parsed first (executor.pyx), many clients with a command each gain too.
A connection in any special situation is served alone, when its event comes. Between the phases nothing else happens;
a connection that is killed meanwhile ends as if it had been killed before.
"""
from kvcy.server.connection cimport Connection, Loop

# The connection can be read: it joins the group, or is served at once, behind the group.
cdef void group_readable(Loop* loop, Connection* connection) noexcept nogil
# Serves the group and leaves it empty. Must be called before anything else uses loop.buffer or the executor.
cdef void group_run(Loop* loop) noexcept nogil
