# cython: language_level=3
"""SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one compression round, three
finalisation rounds), keyed by 16 secret bytes. Inline: it is on the path of every command."""
from libc.stdint cimport uint64_t

cdef struct HashKey:
    uint64_t k0
    uint64_t k1

# The 64-bit hash of `size` bytes at `data`.
cdef uint64_t siphash13(const HashKey* key, const char* data, size_t size) noexcept nogil
