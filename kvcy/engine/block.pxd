# cython: language_level=3
"""Large byte strings that stand apart: reference-counted blocks, and Bytes, a view that may hold one.

A block is written only while its writer holds the one reference; shared, it is immutable. It may be received
into (the protocol), adopted as a value, shared by COPY, and sent without any lock, each holder owning one
reference. `block_release` of the last reference frees it.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from kvcy.engine.platform cimport add_acq_rel_u32, add_relaxed_u32

cdef enum:
    BLOCK_HEADER_BYTES = 24

cdef struct Block:
    uint32_t references    # atomic
    uint32_t sharing       # atomic; entries that share it (holdings.pxd), 0: it is not shared among entries
    size_t size            # bytes in use
    size_t capacity        # bytes there is room for
    char data[1]           # the bytes; the struct is over-allocated

cdef struct Bytes:
    const char* data       # borrowed, or inside `block`
    size_t size
    Block* block           # the block that holds the bytes, or NULL; owning a reference is each user's own rule

# A new block with one reference, size 0 and room for `capacity` bytes; NULL when there is no memory.
cdef Block* block_new(size_t capacity) noexcept nogil

# Makes room for `capacity` bytes. REQUIRES: the caller holds the only reference. Returns the block (it may have
# moved), or NULL when there is no memory: then the old block is untouched and still the caller's.
cdef Block* block_reserve(Block* block, size_t capacity) noexcept nogil

# Frees a block whatever its count. REQUIRES: nobody refers to it any more. For block_release.
cdef void block_free(Block* block) noexcept nogil

# Compaction (block_heap.pxd): whether the block had better be elsewhere, and the same block there, or where it was if
# there is no memory. REQUIRES of block_moved: the caller holds the only reference.
cdef bint block_leaves(const Block* block) noexcept nogil
cdef Block* block_moved(Block* block) noexcept nogil

# Bytes held by all blocks of the process, headers included (atomic, relaxed).
cdef size_t block_bytes_total() noexcept nogil
# The same without the blocks that are leaving: given up, but freed later, off the hot path.
cdef size_t block_bytes_used() noexcept nogil
cdef void block_set_leaving(uint64_t bytes, bint leaving) noexcept nogil
# Bytes the block takes from the system.
cdef inline uint64_t block_bytes(const Block* block) noexcept nogil:
    return BLOCK_HEADER_BYTES + block.capacity


cdef inline uint64_t word_at(const char* at) noexcept nogil:
    """The next eight bytes, at any address, in the machine's order."""
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline bint same_bytes(const char* first, const char* second, size_t size) noexcept nogil:
    """Whether both are equal; for short strings a call of memcmp would take most of the time."""
    cdef size_t at = 0
    if size < 8 or size > 64:
        return memcmp(first, second, size) == 0
    while at + 8 < size:
        if word_at(first + at) != word_at(second + at):
            return False
        at += 8
    return word_at(first + size - 8) == word_at(second + size - 8)


cdef inline void block_retain(Block* block) noexcept nogil:
    add_relaxed_u32(&block.references, 1)


cdef inline void block_release(Block* block) noexcept nogil:
    if add_acq_rel_u32(&block.references, <uint32_t> -1) == 0:
        block_free(block)


cdef inline void blocks_release(const Bytes* first, uint64_t count) noexcept nogil:
    """Those of an array whose user owns a reference to each."""
    cdef uint64_t i
    for i in range(count):
        if first[i].block != NULL:
            block_release(first[i].block)
