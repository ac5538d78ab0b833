# cython: language_level=3
"""Sessions that trio tasks carry (see trio_session.pyx)."""
from libc.stdint cimport uint64_t
from kvcy._core cimport Store
from kvcy.commands.service cimport ServiceHandle
from kvcy.commands.types cimport Executor, Session
from kvcy.server.limits cimport ClientLimits
from kvcy.server.output cimport Output
from kvcy.server.requests cimport Request

cdef class TrioExecutor:
    """The executor that all sessions of the trio thread share."""
    cdef Executor* executor
    cdef Store store
    cdef ServiceHandle service
    cdef ClientLimits limits
    cdef readonly uint64_t bytes_in
    cdef readonly uint64_t bytes_out

cdef class TrioSession:
    cdef TrioExecutor shared
    cdef Session* session
    cdef Output* output
    cdef char* kept                      # bytes of an unfinished command, or not yet executed; owned
    cdef size_t kept_size
    cdef size_t kept_capacity
    cdef readonly bint failed            # out of memory or over a limit: to be closed at once

    cdef uint64_t gate                   # what the output may depend on: a position in the log
    cdef bint again                      # there is more to do without more bytes
    cdef bint listed                     # in the registry of clients

    cdef void take(self, const char* data, size_t size) noexcept nogil
    cdef bint room(self, size_t size) noexcept nogil
    cdef void run(self, const char* data, size_t size) noexcept nogil
    cdef void collect(self) noexcept nogil
    cdef void count_memory(self) noexcept nogil

cdef class TrioRequest(Request):
    cdef TrioSession carrier
