# cython: language_level=3
"""Store: the Python face of the engine. The server's service and reactors work on a Store's keyspace too."""
from libc.stdint cimport uint64_t

from kvcy.commands.types cimport Service
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Key, Keyspace

cdef class Store:
    cdef Keyspace* keyspace          # owned
    cdef Service* service            # owned; what a server's clients share, when one works on this store
    cdef readonly int database       # the one that the mapping shows
    cdef readonly bint closed
    cdef public bint left            # this process is a fork of the store's
    cdef object _closer              # called by close(): ends what a data directory needs; None without one
    cdef list _workers               # idle Workers, for execute(); used under the GIL
    cdef object __weakref__

    cdef int check_open(self) except -1
    cdef Access access(self, bint exclusive) noexcept nogil
    cdef void lock(self, const Key* key, bint exclusive) noexcept
    cdef int check_writable(self) except -1
    cdef uint64_t unlock(self, const Key* key, bint exclusive) noexcept nogil
    cdef void reclaim(self) noexcept
    cdef tuple walk(self, uint64_t cursor)
