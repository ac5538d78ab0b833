# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/hash.pxd for the tests."""
from libc.stdint cimport uint64_t

from kvcy.engine.hash cimport HashKey, siphash13


def hash_of(uint64_t k0, uint64_t k1, bytes data, size_t offset=0) -> int:
    """The hash of data[offset:], hashed where it lies."""
    cdef HashKey key
    cdef const char* start = data
    key.k0 = k0
    key.k1 = k1
    assert offset <= <size_t> len(data)
    return siphash13(&key, start + offset, len(data) - offset)
