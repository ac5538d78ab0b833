# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Operations on the whole keyspace: see whole.pxd."""
from kvcy.engine.block_compaction cimport blocks_compact
from kvcy.engine.compaction cimport partition_compact
from kvcy.engine.entry cimport entry_expired
from kvcy.engine.journal cimport journal_flush, journal_swap
from kvcy.engine.keyspace cimport keyspace_peek
from kvcy.engine.ordered_compact cimport ordered_compact
from kvcy.engine.partition cimport Partition, partition_disown, partition_entry, partition_free
from kvcy.engine.platform cimport add_own_u64, invariant, load_relaxed_u32, load_relaxed_u64, store_relaxed_u64
from kvcy.engine.quiet cimport quiet_reclaim, quiet_retire_noted
from kvcy.engine.ranging cimport INDEX_PARTIAL, INDEX_SLOTS, index_slice
from kvcy.engine.shards cimport DATABASES_MAX, Key, Shard, keyspace_key, shard_lock, shard_unlock, store_partition
from kvcy.engine.table cimport Slot, table_from, table_migrate, table_next, table_pick
from kvcy.engine.watchlist cimport WatchTable, Watched, watched_touch

cdef enum:
    RANDOM_DRAWS = 128    # of places, before the nearest entry is taken: one in e^16 draws at an eighth full


cdef void partition_free_later(void* partition, void* context) noexcept nogil:
    partition_free(<Partition*> partition)


cdef void database_flush(Access* access, Shard* shard, uint32_t index, int database) noexcept nogil:
    cdef Partition* partition = shard.partitions[database]
    if partition == NULL:
        return
    if shard.watched != NULL:
        watched_touch_present(access, shard, index, database, database)
    add_own_u64(&shard.dirty, shard.counts[database])
    store_partition(&shard.partitions[database], NULL)
    partition_disown(partition)
    store_relaxed_u64(&shard.counts[database], 0)
    store_relaxed_u64(&shard.volatile_counts[database], 0)
    quiet_retire_noted(&partition.note, partition, partition_free_later, NULL)


cdef void watched_touch_present(Access* access, Shard* shard, uint32_t index, int database,
                                int other) noexcept nogil:
    """Touches the keys watched in `database` that exist in it or in `other`, whose content is to take its place."""
    cdef const WatchTable* table = shard.watched
    cdef const Watched* watched
    cdef Key key
    cdef int before = access.database
    cdef bint present
    cdef uint32_t bucket
    for bucket in range(table.mask + 1):
        watched = table.buckets[bucket]
        while watched != NULL:
            if watched.database == database:
                key = keyspace_key(access.keyspace, watched.key, watched.size)
                invariant(key.shard == index)
                access.database = database
                present = keyspace_peek(access, &key) != NULL
                access.database = other
                if present or keyspace_peek(access, &key) != NULL:
                    watched_touch(watched)
            watched = watched.next
    access.database = before


cdef void shard_flush(Access* access, uint32_t shard, int database) noexcept nogil:
    cdef Shard* one = &access.keyspace.shards[shard]
    cdef int each
    invariant(access.exclusive and database < DATABASES_MAX)
    one.reshapes += 1
    if database >= 0:
        database_flush(access, one, shard, database)
        return
    for each in range(DATABASES_MAX):
        database_flush(access, one, shard, each)


cdef void keyspace_flush(Access* access, int database) noexcept nogil:
    cdef uint32_t i
    for i in range(access.keyspace.shard_count):
        shard_flush(access, i, database)
    journal_flush(access.keyspace, access.group, access.now_ms, database)


cdef void shard_swap(Access* access, uint32_t shard, int first, int second) noexcept nogil:
    cdef Shard* one = &access.keyspace.shards[shard]
    cdef Partition* partition
    cdef uint64_t count
    invariant(access.exclusive)
    if first == second:
        return
    one.reshapes += 1
    if one.watched != NULL:
        watched_touch_present(access, one, shard, first, second)
        watched_touch_present(access, one, shard, second, first)
    partition = one.partitions[first]
    store_partition(&one.partitions[first], one.partitions[second])
    store_partition(&one.partitions[second], partition)
    count = one.counts[first]
    store_relaxed_u64(&one.counts[first], one.counts[second])
    store_relaxed_u64(&one.counts[second], count)
    count = one.volatile_counts[first]
    store_relaxed_u64(&one.volatile_counts[first], one.volatile_counts[second])
    store_relaxed_u64(&one.volatile_counts[second], count)


cdef void keyspace_swap(Access* access, int first, int second) noexcept nogil:
    cdef Keyspace* keyspace = access.keyspace
    cdef uint32_t i
    if first == second:
        return
    for i in range(keyspace.shard_count):
        shard_swap(access, i, first, second)
    add_own_u64(&keyspace.shards[0].dirty, 1)
    journal_swap(keyspace, access.group, access.now_ms, first, second)


cdef uint64_t keyspace_dirty(const Keyspace* keyspace) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        total += load_relaxed_u64(&keyspace.shards[i].dirty)
    return total


cdef uint64_t keyspace_count(const Keyspace* keyspace, int database) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        total += load_relaxed_u64(&keyspace.shards[i].counts[database])
    return total


cdef uint64_t keyspace_count_volatile(const Keyspace* keyspace, int database) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        total += load_relaxed_u64(&keyspace.shards[i].volatile_counts[database])
    return total


# --- walking

cdef uint64_t keyspace_walk(Access* access, uint64_t cursor, uint64_t count_max, Visitor visit,
                            void* context) noexcept nogil:
    cdef Keyspace* keyspace = access.keyspace
    cdef uint32_t index = <uint32_t> (cursor >> 32)
    cdef uint64_t position = cursor & 0xFFFFFFFFU
    cdef Partition* partition
    cdef const Slot* slot
    cdef const Entry* entry
    cdef uint64_t visited = 0
    cdef uint32_t bits
    cdef bint going = True
    if index >= keyspace.shard_count:
        return 0
    partition = keyspace.shards[index].partitions[access.database]
    while partition != NULL:
        slot = table_from(&partition.table, position)
        if slot == NULL:
            break
        if visited >= count_max or not going:
            return <uint64_t> index << 32 | position
        bits = slot.bits
        while slot.handle and slot.bits == bits:
            entry = partition_entry(partition, slot)
            if not entry_expired(entry, access.now_ms):
                going &= visit(access, entry, context)
            visited += 1
            slot += 1
        position = <uint64_t> bits + 1
    index += 1
    return <uint64_t> index << 32 if index < keyspace.shard_count else 0


cdef Entry* live_entry_from(Access* access, Partition* partition, uint64_t bits) noexcept nogil:
    """The first entry at or behind `bits`, in hash order, that has not expired; NULL: there is none."""
    cdef const Slot* slot = table_from(&partition.table, bits)
    cdef Entry* entry
    while slot != NULL:
        entry = partition_entry(partition, slot)
        if not entry_expired(entry, access.now_ms):
            return entry
        slot = table_next(&partition.table, slot)
    return NULL


cdef Entry* keyspace_random_in(Access* access, uint32_t shard, uint64_t random) noexcept nogil:
    cdef Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    cdef const Slot* slot
    cdef Entry* entry
    if partition == NULL:
        return NULL
    for _ in range(RANDOM_DRAWS):
        slot = table_pick(&partition.table, random)
        if slot != NULL and slot.handle:
            entry = partition_entry(partition, slot)
            if not entry_expired(entry, access.now_ms):
                return entry
        random = random * 6364136223846793005ULL + 1442695040888963407ULL     # Knuth's MMIX generator
    entry = live_entry_from(access, partition, random >> 32)
    return entry if entry != NULL else live_entry_from(access, partition, 0)


# --- upkeep

cdef uint32_t bits_of_key(const void* keyspace, const char* key, size_t size) noexcept nogil:
    return keyspace_key(<const Keyspace*> keyspace, key, size).bits


cdef bint keyspace_upkeep(Keyspace* keyspace, int64_t now_ms, uint32_t slices) noexcept nogil:
    cdef Shard* shard
    cdef Partition* partition
    cdef bint more = False
    cdef int database
    for _ in range(slices):
        keyspace.upkeep_shard = (keyspace.upkeep_shard + 1) & (keyspace.shard_count - 1)
        shard = &keyspace.shards[keyspace.upkeep_shard]
        shard_lock(keyspace, keyspace.upkeep_shard, True)
        for database in range(DATABASES_MAX):
            partition = shard.partitions[database]
            if partition != NULL:
                more |= table_migrate(&partition.table, 4096)
                more |= partition_compact(partition, bits_of_key, keyspace)
                if partition.ordered != NULL:
                    more |= ordered_compact(partition.ordered)
                if load_relaxed_u32(&keyspace.ordered_always):
                    more |= index_slice(partition, INDEX_SLOTS) == INDEX_PARTIAL
        shard_unlock(keyspace, keyspace.upkeep_shard, True)
        more |= blocks_compact(keyspace)
    more |= quiet_reclaim(64) > 0
    return more
