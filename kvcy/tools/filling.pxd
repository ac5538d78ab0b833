# cython: language_level=3
"""Putting the keys of a file into a store, in whichever order they come."""
from libc.stdint cimport int64_t, uint64_t

from kvcy._core cimport Store
from kvcy.engine.keyspace cimport Access

cdef class Filler:
    cdef Store store
    cdef Access access
    cdef readonly uint64_t keys          # put so far
    cdef readonly uint64_t expired       # passed over: their time had come

    # Sets a key, whatever it was before. expire_ms: Unix time, 0: none. The bytes are copied.
    # MemoryError, ValueTooLargeError. REQUIRES: the database is below DATABASES_MAX.
    cdef int put(self, uint64_t database, const char* key, size_t key_size, const char* value, size_t value_size,
                 int64_t expire_ms) except -1
