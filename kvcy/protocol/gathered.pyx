# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""One command's arguments apart from the receive buffer: see gathered.pxd."""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset
from kvcy.engine.block cimport Bytes, block_release, blocks_release
from kvcy.engine.memory cimport (
    memory_free, memory_map, memory_map_resize, memory_new, memory_resize, memory_unmap)
from kvcy.engine.platform cimport invariant

cdef enum:
    ENTRIES_MIN = 8
    ENTRIES_MAPPED_MIN = 4096            # an array of so many or more is a mapping
    SHRINK_BYTES = 1048576               # freed at a time, or one block
    SHRINK_ENTRIES = 43690               # as many bytes of the array


cdef Bytes* resized(Gathered* gathered, size_t capacity) noexcept nogil:
    """The array with another capacity, which is never below ENTRIES_MAPPED_MIN again once it was not. NULL: no memory,
    and it stays as it is."""
    cdef size_t size = capacity * sizeof(Bytes)
    cdef Bytes* at
    if capacity < ENTRIES_MAPPED_MIN:
        return <Bytes*> memory_resize(gathered.at, size)
    if gathered.capacity >= ENTRIES_MAPPED_MIN:
        return <Bytes*> memory_map_resize(gathered.at, gathered.capacity * sizeof(Bytes), size)
    at = <Bytes*> memory_map(size)
    if at != NULL and gathered.at != NULL:
        memcpy(at, gathered.at, gathered.count * sizeof(Bytes))
        memory_free(gathered.at)
    return at


cdef bint gathered_reserve(Gathered* gathered, size_t wanted, size_t most) noexcept nogil:
    cdef size_t capacity
    cdef Bytes* at
    if wanted <= gathered.capacity:
        return True
    capacity = max(wanted, gathered.capacity + <size_t> gathered.capacity // 2, <size_t> ENTRIES_MIN)
    capacity = min(capacity, max(wanted, most))
    if capacity > 0xffffffffu:
        return False
    at = resized(gathered, capacity)
    if at == NULL:
        return False
    gathered.at = at
    gathered.capacity = <uint32_t> capacity
    return True


cdef char* gathered_room(Gathered* gathered, size_t size) noexcept nogil:
    cdef Chunk* chunk = <Chunk*> memory_new(sizeof(Chunk) + size)
    invariant(size > 0)
    if chunk == NULL:
        return NULL
    chunk.older = gathered.chunks
    chunk.bytes = sizeof(Chunk) + size
    gathered.chunks = chunk
    gathered.chunk_bytes += chunk.bytes
    return chunk.data


cdef size_t free_chunk(Gathered* gathered) noexcept nogil:
    """Frees the youngest; how many bytes."""
    cdef Chunk* chunk = gathered.chunks
    cdef size_t bytes = chunk.bytes
    gathered.chunks = chunk.older
    gathered.chunk_bytes -= bytes
    memory_free(chunk)
    return bytes


cdef bint gathered_shrink(Gathered* gathered) noexcept nogil:
    cdef size_t freed = 0
    cdef uint32_t capacity
    cdef Bytes* at
    while gathered.chunks != NULL and freed < SHRINK_BYTES:
        freed += free_chunk(gathered)
    while gathered.block_bytes and freed < SHRINK_BYTES:             # ends: a block is among the entries
        invariant(gathered.count > 0)
        gathered.count -= 1
        at = &gathered.at[gathered.count]
        if at.block != NULL:
            gathered.block_bytes -= at.size
            freed += at.size
            block_release(at.block)
    if freed >= SHRINK_BYTES:
        return False
    if gathered.capacity <= 2 * SHRINK_ENTRIES:
        return True
    capacity = gathered.capacity - SHRINK_ENTRIES
    at = resized(gathered, capacity)
    if at == NULL:
        return True
    gathered.at = at
    gathered.capacity = capacity
    gathered.count = 0
    return False


cdef void gathered_release(Gathered* gathered) noexcept nogil:
    if gathered.block_bytes:
        blocks_release(gathered.at, gathered.count)
    if gathered.capacity >= ENTRIES_MAPPED_MIN:
        memory_unmap(gathered.at, gathered.capacity * sizeof(Bytes))
    else:
        memory_free(gathered.at)
    while gathered.chunks != NULL:
        free_chunk(gathered)
    memset(gathered, 0, sizeof(Gathered))
