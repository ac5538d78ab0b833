# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The blocks that a partition's entries hold: see holdings.pxd.

Block.sharing leaves 0 only while its one holder's shard is locked, and comes back to 0 only when one holder is left, so
no other thread looks at it then; between, holders come and go in several shards at a time.
"""
from kvcy.engine.block cimport block_release, block_set_leaving
from kvcy.engine.entry cimport ENTRY_VALUE_APART, entry_flags, entry_value_block
from kvcy.engine.platform cimport add_acq_rel_u32, invariant, load_acquire_u32, store_relaxed_u32
from kvcy.engine.quiet cimport quiet_retire

cdef enum:
    BLOCK_BYTES_LAZY = 262144      # a larger block is freed by upkeep, not on the path of a command


cdef void block_free_later(void* block, void* context) noexcept nogil:
    block_set_leaving(block_bytes(<Block*> block), False)
    block_release(<Block*> block)


cdef void holdings_drop(Holdings* holdings, Block* block) noexcept nogil:
    cdef uint32_t others = 0
    invariant(holdings.count > 0)
    holdings.count -= 1
    if load_relaxed_u32(&block.sharing):
        others = add_acq_rel_u32(&block.sharing, <uint32_t> -1)
    else:
        invariant(holdings.bytes >= block_bytes(block))
        holdings.bytes -= block_bytes(block)
    if block.capacity > BLOCK_BYTES_LAZY and not others:
        block_set_leaving(block_bytes(block), True)
        if quiet_retire(block, block_free_later, NULL):
            return
        block_set_leaving(block_bytes(block), False)
    block_release(block)


cdef inline Block* block_apart(const Entry* entry) noexcept nogil:
    """The block of the entry's value; NULL: it has none."""
    return entry_value_block(entry) if entry_flags(entry) & ENTRY_VALUE_APART else NULL


cdef void holdings_share(Holdings* holdings, const Entry* entry) noexcept nogil:
    cdef Block* block = block_apart(entry)
    if block != NULL and load_relaxed_u32(&block.sharing) == 0:
        holdings.bytes -= block_bytes(block)
        store_relaxed_u32(&block.sharing, 1)


cdef void holdings_own(Holdings* holdings, const Entry* entry) noexcept nogil:
    cdef Block* block = block_apart(entry)
    if block != NULL and load_acquire_u32(&block.sharing) == 1:
        store_relaxed_u32(&block.sharing, 0)
        holdings.bytes += block_bytes(block)
