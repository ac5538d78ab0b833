# cython: language_level=3
"""One database's part of one shard: its table, its arena and its LRU lists.

A partition is made when a database first gets a key in that shard. FLUSHDB detaches whole partitions, SWAPDB swaps
their pointers. An entry is in the table once and in exactly one of the two lists: `volatile` when it has an expiry,
else `lasting`. REQUIRES: the shard's lock.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.engine.arena cimport Arena
from kvcy.engine.entry cimport Entry
from kvcy.engine.lru cimport LruList
from kvcy.engine.pages cimport PagePool
from kvcy.engine.table cimport Slot, Table

cdef struct Partition:
    Table table
    Arena arena
    LruList lasting
    LruList volatile_
    PagePool* pool

cdef Partition* partition_new(PagePool* pool) noexcept nogil        # NULL: no memory
cdef void partition_free(Partition* partition) noexcept nogil       # at once; REQUIRES: nobody else can see it
# The slot of the key, or NULL.
cdef Slot* partition_find(const Partition* partition, uint32_t bits, const char* key, size_t size) noexcept nogil
# Moves entries out of sparsely used pages, looking at up to `cells_max` cells; true when there may be more to do.
cdef bint partition_compact(Partition* partition, uint32_t cells_max) noexcept nogil
