# cython: language_level=3
"""What other threads may look at of a session, as CLIENT LIST and INFO do: one word each, which the session's thread
alone writes, relaxed, and others read relaxed. Its own thread may read it plainly."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Row, Session
from kvcy.engine.platform cimport store_relaxed_u32

cdef extern from *:
    void store_row "KVCY_STORE_RELAXED"(const Row**, const Row*) nogil


cdef inline void session_become(Session* session, uint32_t state) noexcept nogil:
    store_relaxed_u32(&session.state, state)


cdef inline void session_raise(Session* session, uint32_t flags) noexcept nogil:
    store_relaxed_u32(&session.flags, session.flags | flags)


cdef inline void session_lower(Session* session, uint32_t flags) noexcept nogil:
    store_relaxed_u32(&session.flags, session.flags & ~flags)


cdef inline void session_ran(Session* session, const Row* row) noexcept nogil:
    """The command that it has run last."""
    store_row(&session.last_row, row)
