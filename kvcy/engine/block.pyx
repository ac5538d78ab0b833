# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reference-counted blocks of bytes. See block.pxd.

A block of 1 KiB to 256 KiB is a cell of a slab (block_heap.pxd), a smaller one comes from malloc. A larger one is a
mapping of its own: it grows without being copied (the system moves its pages), and its memory goes back at once.
`capacity` decides which it is: it fills what the block takes.
"""
from libc.stdint cimport SIZE_MAX, uint64_t
from libc.string cimport memcpy

from kvcy.engine.block_heap cimport (
    BLOCK_HEAP_BYTES_MAX, BLOCK_HEAP_BYTES_MIN, block_heap_free, block_heap_leaves, block_heap_new, block_heap_room,
    block_heap_same_cell)
from kvcy.engine.memory cimport (
    memory_allowed, memory_free, memory_map, memory_map_resize, memory_new, memory_resize, memory_unmap)
from kvcy.engine.platform cimport add_relaxed_u64, invariant, load_relaxed_u64

cdef enum:
    BLOCK_PAGE_BYTES = 4096

cdef enum Place:
    PLACE_MALLOC
    PLACE_CELL
    PLACE_MAPPING

cdef uint64_t bytes_total            # atomic
cdef uint64_t bytes_leaving          # atomic


cdef inline Place place_of(size_t size) noexcept nogil:
    if size < BLOCK_HEAP_BYTES_MIN:
        return PLACE_MALLOC
    return PLACE_CELL if size <= BLOCK_HEAP_BYTES_MAX else PLACE_MAPPING


cdef inline size_t block_memory_size(size_t capacity) noexcept nogil:
    """Bytes a block of this capacity takes; 0 when there is no such number."""
    cdef size_t size
    if capacity > SIZE_MAX // 2:
        return 0
    size = BLOCK_HEADER_BYTES + capacity
    if place_of(size) == PLACE_CELL:
        return block_heap_room(size)
    if place_of(size) == PLACE_MAPPING:
        size = (size + BLOCK_PAGE_BYTES - 1) & ~<size_t> (BLOCK_PAGE_BYTES - 1)
    return size


cdef Block* place_new(size_t size) noexcept nogil:
    if place_of(size) == PLACE_CELL:
        return <Block*> block_heap_new(size) if memory_allowed() else NULL
    return <Block*> (memory_map(size) if place_of(size) == PLACE_MAPPING else memory_new(size))


cdef void place_free(Block* block, size_t size) noexcept nogil:
    if place_of(size) == PLACE_CELL:
        block_heap_free(block, size)
    elif place_of(size) == PLACE_MAPPING:
        memory_unmap(block, size)
    else:
        memory_free(block)


cdef Block* block_new(size_t capacity) noexcept nogil:
    cdef Block* block
    cdef size_t size
    if capacity < 8:
        capacity = 8                 # the struct itself must fit
    size = block_memory_size(capacity)
    if size == 0:
        return NULL
    block = place_new(size)
    if block == NULL:
        return NULL
    block.references = 1
    block.sharing = 0
    block.size = 0
    block.capacity = size - BLOCK_HEADER_BYTES
    add_relaxed_u64(&bytes_total, size)
    return block


cdef Block* place_move(Block* block, size_t size, size_t new_size) noexcept nogil:
    """The block with its content, in other memory; NULL, and nothing has changed: no memory."""
    cdef Block* moved = place_new(new_size)
    if moved != NULL:
        memcpy(moved, block, BLOCK_HEADER_BYTES + block.size)
        place_free(block, size)
    return moved


cdef Block* place_change(Block* block, size_t size, size_t new_size) noexcept nogil:
    """The block with its content, in memory of another size; NULL, and nothing has changed: no memory."""
    if place_of(size) == place_of(new_size):
        if place_of(size) == PLACE_MALLOC:
            return <Block*> memory_resize(block, new_size)
        if place_of(size) == PLACE_MAPPING:
            return <Block*> memory_map_resize(block, size, new_size)
        if block_heap_same_cell(size, new_size):
            return block
    return place_move(block, size, new_size)


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
    moved = place_change(block, size, new_size)
    if moved == NULL:
        return NULL
    moved.capacity = new_size - BLOCK_HEADER_BYTES
    add_relaxed_u64(&bytes_total, new_size - size)
    return moved


cdef bint block_leaves(const Block* block) noexcept nogil:
    return place_of(block_bytes(block)) == PLACE_CELL and block_heap_leaves(block, block_bytes(block))


cdef Block* block_moved(Block* block) noexcept nogil:
    cdef size_t size = block_bytes(block)
    cdef Block* moved
    invariant(block.references == 1)
    moved = place_move(block, size, size)
    return block if moved == NULL else moved


cdef void block_free(Block* block) noexcept nogil:
    cdef size_t size = BLOCK_HEADER_BYTES + block.capacity
    invariant(block.size <= block.capacity)
    invariant(load_relaxed_u64(&bytes_total) >= size)
    add_relaxed_u64(&bytes_total, 0 - <uint64_t> size)
    place_free(block, size)


cdef size_t block_bytes_total() noexcept nogil:
    return load_relaxed_u64(&bytes_total)


cdef void block_set_leaving(uint64_t bytes, bint leaving) noexcept nogil:
    add_relaxed_u64(&bytes_leaving, bytes if leaving else 0 - bytes)


cdef size_t block_bytes_used() noexcept nogil:
    cdef uint64_t leaving = load_relaxed_u64(&bytes_leaving)
    cdef uint64_t total = load_relaxed_u64(&bytes_total)
    return total - leaving if total > leaving else 0
