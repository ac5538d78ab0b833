# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The page pool. See pages.pxd.

How: a region is one mapping of POOL_REGION_PAGES pages with a note of it on the heap. The note also has that many
places for free pages; the places of all regions together, in list order, are one stack. There are as many places as
pages, so giving back a page never needs memory.

      first           top                       (next)
    [ f f f f ] <-> [ f f . . ] <-> [ . . . . ] ...        f: a free page's address; top_count is 2

The system is called (mmap, madvise) outside the lock.
"""
from libc.stdint cimport uint64_t

from kvcy.engine.memory cimport memory_drop, memory_free, memory_map, memory_new, memory_unmap
from kvcy.engine.platform cimport add_relaxed_u64, invariant, load_relaxed_u64, store_relaxed_u64
from kvcy.engine.rwlock cimport spin_lock, spin_unlock

cdef extern from *:
    """
    #define KVCY_ADD_RELEASE(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELEASE)
    """
    uint64_t add_release_u64 "KVCY_ADD_RELEASE"(uint64_t*, uint64_t) nogil

cdef struct PoolRegion:
    PoolRegion* previous
    PoolRegion* next
    char* mapping
    char* free_pages[POOL_REGION_PAGES]


cdef void pool_init(PagePool* pool) noexcept nogil:
    pool.lock = 0
    pool.top_count = 0
    pool.top = NULL
    pool.first = NULL
    store_relaxed_u64(&pool.bytes_used, 0)
    store_relaxed_u64(&pool.bytes_limit, 0)
    store_relaxed_u64(&pool.cell_bytes, 0)


cdef void pool_close(PagePool* pool) noexcept nogil:
    cdef PoolRegion* region = pool.first
    cdef PoolRegion* next
    invariant(load_relaxed_u64(&pool.bytes_used) == 0)
    while region != NULL:
        next = region.next
        memory_unmap(region.mapping, POOL_REGION_PAGES * PAGE_BYTES)
        memory_free(region)
        region = next
    pool_init(pool)


cdef void push_free(PagePool* pool, char* page) noexcept nogil:
    """REQUIRES: the lock; the page is not free yet."""
    if pool.top_count == POOL_REGION_PAGES:
        invariant(pool.top.next != NULL)
        pool.top = pool.top.next
        pool.top_count = 0
    pool.top.free_pages[pool.top_count] = page
    pool.top_count += 1


cdef char* pop_free(PagePool* pool) noexcept nogil:
    """REQUIRES: the lock. NULL when no page is free."""
    if pool.top == NULL:
        return NULL
    if pool.top_count == 0:
        if pool.top.previous == NULL:
            return NULL
        pool.top = pool.top.previous
        pool.top_count = POOL_REGION_PAGES
    pool.top_count -= 1
    return pool.top.free_pages[pool.top_count]


cdef PoolRegion* region_new() noexcept nogil:
    cdef PoolRegion* region = <PoolRegion*> memory_new(sizeof(PoolRegion))
    if region == NULL:
        return NULL
    region.mapping = <char*> memory_map(POOL_REGION_PAGES * PAGE_BYTES)
    if region.mapping == NULL:
        memory_free(region)
        return NULL
    return region


cdef void add_region(PagePool* pool, PoolRegion* region) noexcept nogil:
    """REQUIRES: the lock. All pages of the region become free."""
    cdef int i
    region.previous = pool.top
    region.next = NULL
    if pool.top == NULL:
        pool.first = region
        pool.top = region
        pool.top_count = 0
    else:                            # behind the top: the places in front of it are full, those behind it empty
        region.next = pool.top.next
        if region.next != NULL:
            region.next.previous = region
        pool.top.next = region
    for i in range(POOL_REGION_PAGES - 1, -1, -1):
        push_free(pool, region.mapping + <size_t> i * PAGE_BYTES)


cdef char* pool_take(PagePool* pool) noexcept nogil:
    cdef uint64_t limit = load_relaxed_u64(&pool.bytes_limit)
    cdef PoolRegion* region
    cdef char* page
    if add_relaxed_u64(&pool.bytes_used, PAGE_BYTES) > limit and limit != 0:
        add_relaxed_u64(&pool.bytes_used, 0 - <uint64_t> PAGE_BYTES)
        return NULL
    spin_lock(&pool.lock)
    page = pop_free(pool)
    spin_unlock(&pool.lock)
    if page != NULL:
        return page
    region = region_new()
    if region == NULL:
        add_relaxed_u64(&pool.bytes_used, 0 - <uint64_t> PAGE_BYTES)
        return NULL
    spin_lock(&pool.lock)
    add_region(pool, region)
    page = pop_free(pool)
    spin_unlock(&pool.lock)
    invariant(page != NULL)
    return page


cdef void pool_give(PagePool* pool, char* page) noexcept nogil:
    invariant(page != NULL and (<size_t> page & 4095) == 0)
    invariant(load_relaxed_u64(&pool.bytes_used) >= PAGE_BYTES)
    memory_drop(page, PAGE_BYTES)
    spin_lock(&pool.lock)
    push_free(pool, page)
    spin_unlock(&pool.lock)
    add_release_u64(&pool.bytes_used, 0 - <uint64_t> PAGE_BYTES)     # the last look at the pool: see pool_close
