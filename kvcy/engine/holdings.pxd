# cython: language_level=3
"""The blocks that a partition's entries hold: how many, and their bytes, which stop counting when it is detached.

A block that one entry holds counts in that entry's partition (the second reference that a client who is sent it has
makes no difference). One that COPY shares among entries, maybe of several shards, counts in none of them, since it
stays when one partition goes: Block.sharing then says how many entries hold it. So what is shared leaves only when it
is freed. REQUIRES for all calls: the lock of the entry's shard, exclusively, or that nobody else sees the partition.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.block cimport Block, block_bytes
from kvcy.engine.entry cimport (
    ENTRY_KEY_APART, ENTRY_VALUE_APART, Entry, entry_flags, entry_key_block, entry_value_block)
from kvcy.engine.platform cimport add_relaxed_u32, load_relaxed_u32

cdef struct Holdings:          # zeroed: none
    uint64_t count             # of references that entries have: 0 lets partition_free skip the walk
    uint64_t bytes             # of blocks that are not shared

# For holdings_release.
cdef void holdings_drop(Holdings* holdings, Block* block) noexcept nogil
# Before other entries may get the entry's value block, whole and without copying it; a value inside the cell: nothing.
cdef void holdings_share(Holdings* holdings, const Entry* entry) noexcept nogil
# The entry's value block counts in its partition again, if no other entry shares it.
cdef void holdings_own(Holdings* holdings, const Entry* entry) noexcept nogil


cdef inline void holdings_add(Holdings* holdings, Block* block) noexcept nogil:
    """An entry gets the caller's reference."""
    holdings.count += 1
    if load_relaxed_u32(&block.sharing):
        add_relaxed_u32(&block.sharing, 1)
    else:
        holdings.bytes += block_bytes(block)


cdef inline void holdings_release(Holdings* holdings, const Entry* entry) noexcept nogil:
    """Gives up the references of a dead entry."""
    cdef uint32_t flags = entry_flags(entry)
    if flags & ENTRY_KEY_APART:
        holdings_drop(holdings, entry_key_block(entry))
    if flags & ENTRY_VALUE_APART:
        holdings_drop(holdings, entry_value_block(entry))


cdef inline void holdings_resized(Holdings* holdings, const Block* block, uint64_t old_bytes) noexcept nogil:
    """An entry's block got another capacity."""
    if not load_relaxed_u32(&block.sharing):
        holdings.bytes += block_bytes(block) - old_bytes
