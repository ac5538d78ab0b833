# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Shards, their life and their locks: see shards.pxd."""
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport block_bytes_total, block_bytes_used
from kvcy.engine.block_heap cimport block_heap_slack
from kvcy.engine.entry cimport Entry
from kvcy.engine.lru cimport lru_touch
from kvcy.engine.memory cimport memory_array_bytes_used, memory_free, memory_new_lines, memory_resize
from kvcy.engine.ordered cimport ordered_bytes
from kvcy.engine.pages cimport pool_close, pool_init
from kvcy.engine.partition cimport LISTS_COUNT, partition_free, partition_list
from kvcy.engine.platform cimport invariant, load_acquire_u64, load_relaxed_u64
from kvcy.engine.quiet cimport quiet_reclaim
from kvcy.engine.rwlock cimport back_off, spin_lock, spin_unlock
from kvcy.engine.table cimport table_bytes
from kvcy.engine.wheel cimport Wheel

cdef enum:
    MORE_TOUCHES_MIN = 64
    MORE_TOUCHES_KEPT = 512


# --- life

cdef Keyspace* keyspace_new(uint32_t shard_count, const HashKey* hash_key) noexcept nogil:
    cdef Keyspace* keyspace
    cdef uint32_t i
    invariant(0 < shard_count <= SHARDS_MAX and shard_count & (shard_count - 1) == 0)
    keyspace = <Keyspace*> calloc(1, sizeof(Keyspace))
    if keyspace == NULL:
        return NULL
    keyspace.shards = <Shard*> memory_new_lines(shard_count * sizeof(Shard))
    if keyspace.shards == NULL:
        free(keyspace)
        return NULL
    keyspace.hash_key = hash_key[0]
    keyspace.shard_count = shard_count
    keyspace.shard_bits = 0
    for i in range(1, 11):
        if shard_count == <uint32_t> 1 << i:
            keyspace.shard_bits = i
    keyspace.eviction.victims = <Victim*> memory_new_lines(
        LISTS_COUNT * shard_count * (sizeof(Victim) + sizeof(uint64_t)))
    if keyspace.eviction.victims == NULL:
        memory_free(keyspace.shards)
        free(keyspace)
        return NULL
    keyspace.eviction.oldest = <uint64_t*> (keyspace.eviction.victims + LISTS_COUNT * shard_count)
    pool_init(&keyspace.pool)
    return keyspace


cdef void keyspace_free(Keyspace* keyspace) noexcept nogil:
    cdef uint32_t turns = 0
    cdef uint32_t i
    cdef int database
    for i in range(keyspace.shard_count):
        invariant(keyspace.shards[i].watched == NULL)
        memory_free(keyspace.shards[i].more_touches.at)
        for database in range(DATABASES_MAX):
            if keyspace.shards[i].partitions[database] != NULL:
                partition_free(keyspace.shards[i].partitions[database])
    # Detached partitions still use the pool: until other stores' threads have passed and all have been freed.
    while load_acquire_u64(&keyspace.pool.bytes_used) != 0:
        if quiet_reclaim(1 << 20) == 0:
            back_off(&turns)
    pool_close(&keyspace.pool)
    if keyspace.eviction.queues != NULL:
        keyspace.eviction.queues_free(keyspace.eviction.queues)
    memory_free(keyspace.eviction.victims)
    memory_free(keyspace.shards)
    free(keyspace)


cdef uint64_t keyspace_memory_bytes(Keyspace* keyspace) noexcept nogil:
    cdef uint64_t total = keyspace.shard_count * sizeof(Shard) + block_bytes_total() + block_heap_slack()
    cdef const Partition* partition
    cdef uint32_t i
    cdef int database
    for i in range(keyspace.shard_count):
        shard_lock(keyspace, i, False)
        for database in range(DATABASES_MAX):
            partition = keyspace.shards[i].partitions[database]
            if partition != NULL:
                if partition.wheel != NULL:
                    total += sizeof(Wheel)
                if partition.ordered != NULL:
                    total += ordered_bytes(partition.ordered)
                total += sizeof(Partition) + partition.arena.page_bytes + table_bytes(&partition.table)
        shard_unlock(keyspace, i, False)
    return total


cdef uint64_t keyspace_used_bytes(const Keyspace* keyspace) noexcept nogil:
    cdef uint64_t used = keyspace.shard_count * sizeof(Shard) + load_relaxed_u64(&keyspace.pool.cell_bytes)
    used += memory_array_bytes_used() + block_bytes_used()
    return used


cdef uint64_t keyspace_counted_bytes(const Keyspace* keyspace, uint64_t limit_bytes) noexcept nogil:
    return keyspace_used_bytes(keyspace) + min(load_relaxed_u64(&keyspace.client_bytes), limit_bytes >> 1)


# --- locks

cdef void shard_apply_touches(Shard* shard) noexcept nogil:
    """Moves what was read since the last exclusive lock to the head of its list. REQUIRES: the exclusive lock."""
    cdef TouchList* more = &shard.more_touches
    apply(shard, shard.touches, min(shard.touch_count, <uint32_t> TOUCHES_MAX))
    shard.touch_count = 0
    if more.count:
        apply(shard, more.at, more.count)
        more.count = 0
        if more.capacity > MORE_TOUCHES_KEPT:
            memory_free(more.at)
            more.at = NULL
            more.capacity = 0


cdef void apply(Shard* shard, const uint64_t* touches, uint32_t count) noexcept nogil:
    cdef uint32_t i, handle
    cdef Partition* partition
    cdef Entry* entry
    for i in range(count):
        handle = <uint32_t> touches[i]
        partition = shard.partitions[touches[i] >> 32]
        entry = <Entry*> arena_at(&partition.arena, handle)
        lru_touch(partition_list(partition, entry), &partition.arena, handle)


cdef bint shard_keep_touch(Shard* shard, uint64_t touch) noexcept nogil:
    cdef TouchList* more = &shard.more_touches
    cdef uint32_t capacity
    cdef uint64_t* grown
    spin_lock(&more.lock)
    if more.count == more.capacity:
        capacity = max(<uint32_t> MORE_TOUCHES_MIN, 2 * more.capacity)
        grown = <uint64_t*> memory_resize(more.at, capacity * sizeof(uint64_t))
        if grown == NULL:
            spin_unlock(&more.lock)
            return False
        more.at = grown
        more.capacity = capacity
    more.at[more.count] = touch
    more.count += 1
    spin_unlock(&more.lock)
    return True


cdef void shards_clear(ShardSet* set) noexcept nogil:
    memset(set, 0, sizeof(ShardSet))


cdef void shards_add(ShardSet* set, uint32_t shard) noexcept nogil:
    cdef uint64_t bit = <uint64_t> 1 << (shard & 63)
    if not set.words[shard >> 6] & bit:
        set.words[shard >> 6] |= bit
        set.count += 1
        set.only = shard


cdef void shards_add_all(ShardSet* set, const Keyspace* keyspace) noexcept nogil:
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        shards_add(set, i)


cdef bint shards_has(const ShardSet* set, uint32_t shard) noexcept nogil:
    return set.words[shard >> 6] >> (shard & 63) & 1


cdef void shards_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil:
    cdef uint32_t i
    if set.count == 1:
        shard_lock(keyspace, set.only, exclusive)
        return
    for i in range(keyspace.shard_count):
        if shards_has(set, i):
            shard_lock(keyspace, i, exclusive)


cdef bint shards_try_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil:
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        if shards_has(set, i) and not shard_try_lock(keyspace, i, exclusive):
            while i:
                i -= 1
                if shards_has(set, i):
                    shard_unlock(keyspace, i, exclusive)
            return False
    return True


cdef void shards_unlock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil:
    cdef uint32_t i
    if set.count == 1:
        shard_unlock(keyspace, set.only, exclusive)
        return
    for i in range(keyspace.shard_count):
        if shards_has(set, i):
            shard_unlock(keyspace, i, exclusive)
