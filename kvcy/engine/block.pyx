# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reference-counted blocks of bytes. See block.pxd.

A block smaller than BLOCK_MAP_BYTES_MIN comes from the heap. A larger one is a mapping of its own: it grows without
being copied (the system moves its pages) and its memory goes back when it is freed. `capacity` decides which it is: a
mapped block's capacity fills its last page.
"""
from libc.stdint cimport SIZE_MAX, uint64_t
from libc.string cimport memcpy

from kvcy.engine.memory cimport memory_free, memory_map, memory_map_resize, memory_new, memory_resize, memory_unmap
from kvcy.engine.platform cimport add_relaxed_u64, invariant, load_relaxed_u64

cdef enum:
    BLOCK_MAP_BYTES_MIN = 262144     # header included
    BLOCK_PAGE_BYTES = 4096

cdef uint64_t bytes_total            # atomic
cdef uint64_t bytes_leaving          # atomic


cdef inline size_t block_memory_size(size_t capacity) noexcept nogil:
    """Bytes a block of this capacity takes from the system; 0 when there is no such number."""
    cdef size_t size
    if capacity > SIZE_MAX // 2:
        return 0
    size = BLOCK_HEADER_BYTES + capacity
    if size >= BLOCK_MAP_BYTES_MIN:
        size = (size + BLOCK_PAGE_BYTES - 1) & ~<size_t> (BLOCK_PAGE_BYTES - 1)
    return size


cdef Block* block_new(size_t capacity) noexcept nogil:
    cdef Block* block
    cdef size_t size
    if capacity < 8:
        capacity = 8                 # the struct itself must fit
    size = block_memory_size(capacity)
    if size == 0:
        return NULL
    if size >= BLOCK_MAP_BYTES_MIN:
        block = <Block*> memory_map(size)
    else:
        block = <Block*> memory_new(size)
    if block == NULL:
        return NULL
    block.references = 1
    block.sharing = 0
    block.size = 0
    block.capacity = size - BLOCK_HEADER_BYTES
    add_relaxed_u64(&bytes_total, size)
    return block


cdef Block* block_reserve(Block* block, size_t capacity) noexcept nogil:
    cdef Block* moved
    cdef size_t size = BLOCK_HEADER_BYTES + block.capacity
    cdef size_t new_size
    invariant(block.references == 1)
    invariant(block.size <= block.capacity)
    if capacity <= block.capacity:
        return block
    new_size = block_memory_size(capacity)
    if new_size == 0:
        return NULL
    if new_size < BLOCK_MAP_BYTES_MIN:
        moved = <Block*> memory_resize(block, new_size)
    elif size >= BLOCK_MAP_BYTES_MIN:
        moved = <Block*> memory_map_resize(block, size, new_size)
    else:
        moved = <Block*> memory_map(new_size)
        if moved != NULL:
            memcpy(moved, block, BLOCK_HEADER_BYTES + block.size)
            memory_free(block)
    if moved == NULL:
        return NULL
    moved.capacity = new_size - BLOCK_HEADER_BYTES
    add_relaxed_u64(&bytes_total, new_size - size)
    return moved


cdef void block_free(Block* block) noexcept nogil:
    cdef size_t size = BLOCK_HEADER_BYTES + block.capacity
    invariant(block.size <= block.capacity)
    invariant(load_relaxed_u64(&bytes_total) >= size)
    add_relaxed_u64(&bytes_total, 0 - <uint64_t> size)
    if size >= BLOCK_MAP_BYTES_MIN:
        memory_unmap(block, size)
    else:
        memory_free(block)


cdef size_t block_bytes_total() noexcept nogil:
    return load_relaxed_u64(&bytes_total)


cdef void block_set_leaving(uint64_t bytes, bint leaving) noexcept nogil:
    add_relaxed_u64(&bytes_leaving, bytes if leaving else 0 - bytes)


cdef size_t block_bytes_used() noexcept nogil:
    cdef uint64_t leaving = load_relaxed_u64(&bytes_leaving)
    cdef uint64_t total = load_relaxed_u64(&bytes_total)
    return total - leaving if total > leaving else 0
