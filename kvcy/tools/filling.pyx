# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Putting the keys of a file into a store: see filling.pxd."""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from kvcy._conversions cimport clock_ms, raise_for
from kvcy._core cimport Store
from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport keyspace_put
from kvcy.engine.platform cimport invariant
from kvcy.engine.quiet cimport quiet_reclaim
from kvcy.engine.shards cimport DATABASES_MAX, Key, keyspace_key
from kvcy.engine.whole cimport keyspace_count

cdef enum:
    RECLAIM_EVERY = 1024


cdef class Filler:
    """Fills a store, of which it is the only user as long as it is used, and which logs nothing yet."""

    def __cinit__(self, Store store not None):
        self.store = store
        memset(&self.access, 0, sizeof(Access))
        self.access.keyspace = store.keyspace
        self.access.exclusive = True

    cdef int put(self, uint64_t database, const char* key, size_t key_size, const char* value, size_t value_size,
                 int64_t expire_ms) except -1:
        # Of no bytes, the place may be nowhere, and nothing is copied from there.
        cdef Key where = keyspace_key(self.store.keyspace, key if key_size else <const char*> b"", key_size)
        cdef Bytes content
        invariant(database < DATABASES_MAX)
        content.data = value if value_size else <const char*> b""
        content.size = value_size
        content.block = NULL
        self.access.now_ms = clock_ms()
        self.access.database = <int> database
        if expire_ms != 0 and expire_ms <= self.access.now_ms:
            self.expired += 1
            return 0
        raise_for(keyspace_put(&self.access, &where, content, expire_ms))
        self.keys += 1
        if self.keys % RECLAIM_EVERY == 0:
            quiet_reclaim(RECLAIM_EVERY)
        return 0


def count_keys(Store store not None) -> int:
    """The keys in all databases."""
    cdef int database
    return sum([keyspace_count(store.keyspace, database) for database in range(DATABASES_MAX)])
