# cython: language_level=3
"""The page pool: 64 KiB pages of address space for arenas, and the count of what the engine has taken.

Pages are cut from large anonymous mappings that are never unmapped; a page given back loses its memory
(MADV_DONTNEED) but keeps its addresses, so a stale prefetch of it is harmless. Memory is resident only where it
was touched, 4 KiB at a time. One pool a keyspace, shared by its shards; its spin lock is a leaf (rwlock.pxd).
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    PAGE_BYTES = 65536
    POOL_REGION_PAGES = 64       # pages of one mapping

cdef struct PoolRegion           # pages.pyx: a mapping, and places for as many free pages as it has

cdef struct PagePool:
    uint32_t lock                # leaf spin lock
    uint32_t top_count           # free pages in `top`
    PoolRegion* top              # the free pages are a stack that lies in the regions' places; NULL: no region yet
    PoolRegion* first            # all regions, in the order the stack uses them
    uint64_t bytes_used          # atomic: pages handed out, whole (the arenas count what is touched)
    uint64_t bytes_limit         # pool_take answers NULL beyond this; 0 is no limit (a fault tests can provoke)
    char unshared[64]            # what every new key changes has a cache line of its own
    uint64_t cell_bytes          # atomic: of cells in use, of partitions and wheels
    uint64_t queued[4]           # atomic: entries in each list, where the eviction policy keeps queues (partition.pxd)
    uint64_t places              # atomic: places in queues drawn so far
    char unshared_too[16]

cdef void pool_init(PagePool* pool) noexcept nogil
# Unmaps everything. REQUIRES: no arena uses it any more: bytes_used, loaded with acquire, is 0.
cdef void pool_close(PagePool* pool) noexcept nogil
cdef char* pool_take(PagePool* pool) noexcept nogil     # a zero-filled page, or NULL
cdef void pool_give(PagePool* pool, char* page) noexcept nogil
