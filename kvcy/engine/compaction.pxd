# cython: language_level=3
"""Compaction of a partition: entries leave pages that are hardly used, which then go back to the pool."""
from libc.stdint cimport uint32_t

from kvcy.engine.partition cimport Partition

# Moves entries out of one sparsely used page; true when there may be more to do. `bits_of` gives a key's hash bits.
ctypedef uint32_t (*BitsOf)(const void* context, const char* key, size_t size) noexcept nogil
cdef bint partition_compact(Partition* partition, BitsOf bits_of, const void* context) noexcept nogil
