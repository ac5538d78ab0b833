# cython: language_level=3
"""Connections that wait: for the log, for the shutdown's end, or for too long. Called by the reactor, once a turn."""
from kvcy.server.connection cimport Connection, Loop

# Shutdown: reads only what the socket holds now, then leaves.
cdef void connection_drain(Loop* loop, Connection* connection) noexcept nogil
# Closes it if it is idle for too long or has not read for too long.
cdef void connection_check(Loop* loop, Connection* connection) noexcept nogil
# Sends to the gated what the log has made durable meanwhile; asks it to be woken for the others.
cdef void connection_release_gated(Loop* loop) noexcept nogil
