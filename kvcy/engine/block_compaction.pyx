# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compaction of blocks: see block_compaction.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.block cimport Block, block_bytes, block_leaves, block_moved
from kvcy.engine.block_heap cimport block_heap_plan, block_heap_settle
from kvcy.engine.entry cimport ENTRY_VALUE_APART, Entry, entry_flags, entry_value_block, entry_value_place
from kvcy.engine.partition cimport Partition, partition_entry
from kvcy.engine.platform cimport load_acquire_u32
from kvcy.engine.shards cimport DATABASES_MAX, BlockWalk, Shard, shard_lock, shard_unlock
from kvcy.engine.table cimport Slot, table_from

cdef enum:
    SLICE_SLOTS = 256            # looked at
    SLICE_BYTES = 131072         # moved


cdef inline uint64_t value_move(Entry* entry) noexcept nogil:
    """Moves the entry's value block if that is wanted; how many bytes that were."""
    cdef Block* block
    if not entry_flags(entry) & ENTRY_VALUE_APART:
        return 0
    block = entry_value_block(entry)
    if load_acquire_u32(&block.references) != 1 or not block_leaves(block):
        return 0
    entry_value_place(entry)[0] = block_moved(block)
    return block_bytes(entry_value_block(entry))


cdef uint64_t partition_slice(Partition* partition, uint64_t position) noexcept nogil:
    """Goes on at this place in hash order; where it stopped, 0: at the end."""
    cdef const Slot* slot = table_from(&partition.table, position)
    cdef uint32_t looks = 0
    cdef uint64_t moved = 0
    cdef uint32_t bits
    while slot != NULL:          # ends: the place in hash order rises
        if looks >= SLICE_SLOTS or moved >= SLICE_BYTES:
            return slot.bits
        bits = slot.bits
        while slot.handle and slot.bits == bits:
            moved += value_move(partition_entry(partition, slot))
            looks += 1
            slot += 1
        slot = table_from(&partition.table, <uint64_t> bits + 1)
    return 0


cdef bint walk_on(Keyspace* keyspace, BlockWalk* walk) noexcept nogil:
    """A slice of a shard. False: all have been walked over."""
    cdef Shard* shard
    cdef Partition* partition
    if walk.shard == keyspace.shard_count:
        return False
    shard = &keyspace.shards[walk.shard]
    shard_lock(keyspace, walk.shard, True)
    while walk.database < DATABASES_MAX:
        partition = shard.partitions[walk.database]
        if partition != NULL and partition.held.count:
            walk.position = partition_slice(partition, walk.position)
            if walk.position:
                break
        walk.position = 0
        walk.database += 1
    shard_unlock(keyspace, walk.shard, True)
    if walk.database == DATABASES_MAX:
        walk.database = 0
        walk.shard += 1
    return True


cdef bint blocks_compact(Keyspace* keyspace) noexcept nogil:
    cdef BlockWalk* walk = &keyspace.block_walk
    if not walk.going:
        if not block_heap_plan():
            return False
        walk.going = True
        walk.shard = 0
        walk.database = 0
        walk.position = 0
    if not walk_on(keyspace, walk):
        block_heap_settle()
        walk.going = False
    return True
