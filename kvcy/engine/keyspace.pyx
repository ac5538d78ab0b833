# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Shards, their locks, and the typed operations: see keyspace.pxd.

Where things are: life, locks, prefetching, reading, changing, the whole keyspace, walking, upkeep - in this order.
A mutation is: make sure it can be done (partition, table, cell, blocks), then `changed` - the one point where it is
counted, shown to watchers, and will be logged - then apply. An expired entry that is met under an exclusive lock is
removed by `expire_slot`, which is a mutation like any other.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from kvcy.engine.block cimport block_bytes_total, block_new, block_release, block_reserve
from kvcy.engine.entry cimport (
    ENTRY_EDITED, ENTRY_EXPIRES, ENTRY_INLINE_MAX, ENTRY_VALUE_APART, TYPE_STRING, entry_expire_ms, entry_flags,
    entry_type, entry_value, entry_value_block)
from kvcy.engine.arena cimport arena_at, arena_hint
from kvcy.engine.lru cimport lru_touch
from kvcy.engine.pages cimport pool_close, pool_init
from kvcy.engine.partition cimport (
    EntryPlan, partition_add, partition_compact, partition_entry, partition_entry_bytes, partition_find, partition_free,
    partition_list, partition_new, partition_remove, partition_replace)
from kvcy.engine.platform cimport (
    add_relaxed_u32, add_relaxed_u64, invariant, load_acquire_u32, load_acquire_u64, load_relaxed_u32,
    load_relaxed_u64, prefetch, store_relaxed_u32, store_relaxed_u64, unlikely)
from kvcy.engine.quiet cimport quiet_reclaim, quiet_retire_noted
from kvcy.engine.rwlock cimport back_off
from kvcy.engine.status cimport EXISTS, NO_MEMORY, NOT_FOUND, OK, TOO_LARGE
from kvcy.engine.table cimport Slot, table_bytes, table_from, table_hint, table_migrate
from kvcy.engine.watchlist cimport watchlist_touch

cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size)

cdef extern from *:
    """
    #define KVCY_LOAD_POINTER(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define KVCY_STORE_POINTER(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    """
    Partition* load_partition "KVCY_LOAD_POINTER"(Partition* const*) nogil
    void store_partition "KVCY_STORE_POINTER"(Partition**, Partition*) nogil


# --- life

cdef Keyspace* keyspace_new(uint32_t shard_count, const HashKey* hash_key) noexcept nogil:
    cdef Keyspace* keyspace
    cdef uint32_t i
    invariant(0 < shard_count <= SHARDS_MAX and shard_count & (shard_count - 1) == 0)
    keyspace = <Keyspace*> calloc(1, sizeof(Keyspace))
    if keyspace == NULL:
        return NULL
    keyspace.shards = <Shard*> aligned_alloc(64, (shard_count * sizeof(Shard) + 63) & ~<size_t> 63)
    if keyspace.shards == NULL:
        free(keyspace)
        return NULL
    memset(keyspace.shards, 0, shard_count * sizeof(Shard))
    keyspace.hash_key = hash_key[0]
    keyspace.shard_count = shard_count
    keyspace.shard_bits = 0
    for i in range(1, 11):
        if shard_count == <uint32_t> 1 << i:
            keyspace.shard_bits = i
    pool_init(&keyspace.pool)
    return keyspace


cdef void keyspace_free(Keyspace* keyspace) noexcept nogil:
    cdef uint32_t turns = 0
    cdef uint32_t i
    cdef int database
    for i in range(keyspace.shard_count):
        invariant(keyspace.shards[i].watched == NULL)
        for database in range(DATABASES_MAX):
            if keyspace.shards[i].partitions[database] != NULL:
                partition_free(keyspace.shards[i].partitions[database])
    # Detached partitions still use the pool: until other stores' threads have passed and all have been freed.
    while load_acquire_u64(&keyspace.pool.bytes_used) != 0:
        if quiet_reclaim(1 << 20) == 0:
            back_off(&turns)
    pool_close(&keyspace.pool)
    free(keyspace.shards)
    free(keyspace)


cdef uint64_t keyspace_memory_bytes(Keyspace* keyspace) noexcept nogil:
    cdef uint64_t total = keyspace.shard_count * sizeof(Shard) + block_bytes_total()
    cdef const Partition* partition
    cdef uint32_t i
    cdef int database
    for i in range(keyspace.shard_count):
        shard_lock(keyspace, i, False)
        for database in range(DATABASES_MAX):
            partition = keyspace.shards[i].partitions[database]
            if partition != NULL:
                total += sizeof(Partition) + partition.arena.page_bytes + table_bytes(&partition.table)
        shard_unlock(keyspace, i, False)
    return total


# --- locks

cdef void shard_apply_touches(Shard* shard) noexcept nogil:
    """Moves what was read since the last exclusive lock to the head of its list. REQUIRES: the exclusive lock."""
    cdef uint32_t count = min(shard.touch_count, <uint32_t> TOUCHES_MAX)
    cdef uint32_t i, handle
    cdef Partition* partition
    cdef Entry* entry
    for i in range(count):
        handle = <uint32_t> shard.touches[i]
        partition = shard.partitions[shard.touches[i] >> 32]
        entry = <Entry*> arena_at(&partition.arena, handle)
        lru_touch(partition_list(partition, entry), &partition.arena, handle)
    shard.touch_count = 0


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


# --- prefetching

cdef void keyspace_prefetch_slot(const Keyspace* keyspace, int database, const Key* key) noexcept nogil:
    cdef const Partition* partition = load_partition(&keyspace.shards[key.shard].partitions[database])
    if partition != NULL:
        prefetch(table_hint(&partition.table, key.bits))


cdef void keyspace_prefetch_entry(const Keyspace* keyspace, int database, const Key* key) noexcept nogil:
    cdef const Partition* partition = load_partition(&keyspace.shards[key.shard].partitions[database])
    cdef const Slot* slot
    cdef const char* cell
    cdef uint32_t handle
    if partition == NULL:
        return
    slot = table_hint(&partition.table, key.bits)
    if slot == NULL:
        return
    for _ in range(8):               # near enough; the array ends with an empty slot
        handle = load_acquire_u32(&slot.handle)
        if handle == 0 or load_relaxed_u32(&slot.bits) > key.bits:
            return
        if load_relaxed_u32(&slot.bits) == key.bits:
            cell = <const char*> arena_hint(&partition.arena, handle)
            if cell != NULL:
                prefetch(cell)
                prefetch(cell + 64)
            return
        slot += 1


# --- reading

cdef inline bint entry_expired(const Entry* entry, int64_t now_ms) noexcept nogil:
    return (entry_flags(entry) & ENTRY_EXPIRES) != 0 and entry_expire_ms(entry) <= now_ms


cdef inline Slot* find_live(Access* access, Partition* partition, const Key* key) noexcept nogil:
    """The key's slot, or NULL when it is missing or expired (then removed, or noted for keyspace_settle)."""
    cdef Slot* slot = partition_find(partition, key.bits, key.data, key.size)
    if slot != NULL and unlikely(entry_expired(partition_entry(partition, slot), access.now_ms)):
        if access.exclusive:
            expire_slot(access, partition, slot, key)
        else:
            access.expired_seen += 1
        return NULL
    return slot


cdef inline Partition* partition_at(const Access* access, const Key* key, int database) noexcept nogil:
    return access.keyspace.shards[key.shard].partitions[database]


cdef inline uint32_t access_tick(const Access* access) noexcept nogil:
    return <uint32_t> (access.now_ms >> 2)


cdef void record_touch(Access* access, Partition* partition, const Key* key, uint32_t handle) noexcept nogil:
    """The read moves the entry to the head of its list: now, or when the shard is next locked exclusively."""
    cdef Shard* shard = &access.keyspace.shards[key.shard]
    cdef uint32_t place
    if access.exclusive:
        lru_touch(partition_list(partition, <Entry*> arena_at(&partition.arena, handle)), &partition.arena, handle)
        return
    place = add_relaxed_u32(&shard.touch_count, 1) - 1
    if place < TOUCHES_MAX:
        store_relaxed_u64(&shard.touches[place], <uint64_t> access.database << 32 | handle)
    else:
        access.expired_seen += 1     # keyspace_settle applies them, this one too


cdef Entry* keyspace_get(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    cdef Entry* entry
    cdef uint32_t tick
    if partition == NULL:
        access.misses += 1
        return NULL
    slot = find_live(access, partition, key)
    if slot == NULL:
        access.misses += 1
        return NULL
    access.hits += 1
    entry = partition_entry(partition, slot)
    if not access.no_touch:
        tick = access_tick(access)
        if load_relaxed_u32(&entry.access) != tick:
            store_relaxed_u32(&entry.access, tick)
        if access.keyspace.lru_ordered:
            record_touch(access, partition, key, slot.handle)
    return entry


cdef Entry* keyspace_peek(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    if partition == NULL:
        return NULL
    slot = find_live(access, partition, key)
    if slot == NULL:
        return NULL
    return partition_entry(partition, slot)


cdef void keyspace_settle(Access* access, const Key* key) noexcept nogil:
    cdef bint exclusive = access.exclusive
    cdef Partition* partition
    cdef Slot* slot
    shard_lock(access.keyspace, key.shard, True)       # applies the touches
    access.exclusive = True
    partition = partition_at(access, key, access.database)
    if partition != NULL:
        slot = find_live(access, partition, key)
        if slot != NULL and access.keyspace.lru_ordered and not access.no_touch:
            record_touch(access, partition, key, slot.handle)
    access.exclusive = exclusive
    shard_unlock(access.keyspace, key.shard, True)


cdef int64_t keyspace_idle_s(const Access* access, const Entry* entry) noexcept nogil:
    cdef uint32_t ticks = access_tick(access) - load_relaxed_u32(&entry.access)
    return <int64_t> ticks * 4 // 1000


cdef uint64_t keyspace_entry_bytes(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    if partition == NULL:
        return 0
    slot = find_live(access, partition, key)
    if slot == NULL:
        return 0
    return sizeof(Slot) + partition_entry_bytes(partition, partition_entry(partition, slot), slot.handle)


# --- changing

cdef inline void changed(Access* access, int database, const Key* key) noexcept nogil:
    """The single point every mutation of a key passes before it is applied."""
    cdef Shard* shard = &access.keyspace.shards[key.shard]
    invariant(access.exclusive)
    store_relaxed_u64(&shard.dirty, shard.dirty + 1)
    if unlikely(shard.watched != NULL):
        watchlist_touch(shard.watched, database, key.data, key.size)


cdef inline void count_keys(Shard* shard, int database, int keys, int volatile_keys) noexcept nogil:
    if keys:
        store_relaxed_u64(&shard.counts[database], shard.counts[database] + keys)
    if volatile_keys:
        store_relaxed_u64(&shard.volatile_counts[database], shard.volatile_counts[database] + volatile_keys)


cdef void remove_slot(Access* access, Partition* partition, Slot* slot, const Key* key, int database) noexcept nogil:
    cdef bint was_volatile = (entry_flags(partition_entry(partition, slot)) & ENTRY_EXPIRES) != 0
    changed(access, database, key)
    partition_remove(partition, slot)
    count_keys(&access.keyspace.shards[key.shard], database, -1, -1 if was_volatile else 0)


cdef void expire_slot(Access* access, Partition* partition, Slot* slot, const Key* key) noexcept nogil:
    remove_slot(access, partition, slot, key, access.database)
    add_relaxed_u64(&access.keyspace.expired_keys, 1)


cdef Partition* partition_make(Access* access, const Key* key, int database) noexcept nogil:
    """The partition, made if it is the database's first key in the shard; NULL when there is no memory."""
    cdef Partition** place = &access.keyspace.shards[key.shard].partitions[database]
    if place[0] == NULL:
        store_partition(place, partition_new(&access.keyspace.pool))
    return place[0]


cdef Status store(Access* access, Partition* partition, Slot* slot, const Key* key, int database,
                  EntryPlan* plan) noexcept nogil:
    """Adds the entry, or replaces the one in `slot` if that is not NULL."""
    cdef Shard* shard = &access.keyspace.shards[key.shard]
    cdef bint was_volatile
    plan.key = key.data
    plan.key_size = key.size
    plan.access = access_tick(access)
    if slot == NULL:
        if not partition_add(partition, key.bits, plan):
            return NO_MEMORY
        count_keys(shard, database, 1, 1 if plan.expire_ms else 0)
    else:
        was_volatile = (entry_flags(partition_entry(partition, slot)) & ENTRY_EXPIRES) != 0
        if not partition_replace(partition, slot, plan):
            return NO_MEMORY
        count_keys(shard, database, 0, (1 if plan.expire_ms else 0) - (1 if was_volatile else 0))
        if access.keyspace.lru_ordered:
            record_touch(access, partition, key, slot.handle)
    changed(access, database, key)
    return OK


cdef Status keyspace_put(Access* access, const Key* key, Bytes value, int64_t expire_ms) noexcept nogil:
    cdef Partition* partition = partition_make(access, key, access.database)
    cdef Slot* slot
    cdef EntryPlan plan
    invariant(access.exclusive and expire_ms >= EXPIRE_KEEP)
    if partition == NULL:
        return NO_MEMORY
    if value.size > VALUE_BYTES_MAX:
        return TOO_LARGE
    slot = find_live(access, partition, key)
    if expire_ms == EXPIRE_KEEP:
        expire_ms = EXPIRE_NONE if slot == NULL else entry_expire_ms(partition_entry(partition, slot))
    plan.value = value
    plan.expire_ms = expire_ms
    plan.type = TYPE_STRING
    plan.edited = False
    return store(access, partition, slot, key, access.database, &plan)


cdef bint keyspace_delete(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    if partition == NULL:
        return False
    slot = find_live(access, partition, key)
    if slot == NULL:
        return False
    remove_slot(access, partition, slot, key, access.database)
    return True


cdef void plan_from(EntryPlan* plan, const Entry* entry) noexcept nogil:
    plan.value = entry_value(entry)
    plan.expire_ms = entry_expire_ms(entry)
    plan.type = entry_type(entry)
    plan.edited = (entry_flags(entry) & ENTRY_EDITED) != 0


cdef Status keyspace_expire_at(Access* access, const Key* key, int64_t expire_ms) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    cdef EntryPlan plan
    if partition == NULL:
        return NOT_FOUND
    slot = find_live(access, partition, key)
    if slot == NULL:
        return NOT_FOUND
    if expire_ms != EXPIRE_NONE and expire_ms <= access.now_ms:
        remove_slot(access, partition, slot, key, access.database)
        return OK
    plan_from(&plan, partition_entry(partition, slot))
    plan.expire_ms = expire_ms
    return store(access, partition, slot, key, access.database, &plan)


cdef Status keyspace_rename(Access* access, const Key* source, const Key* target, int target_database,
                            bint replace) noexcept nogil:
    cdef Status status
    if source.size == target.size and access.database == target_database and \
            memcmp(source.data, target.data, source.size) == 0:
        if keyspace_peek(access, source) == NULL:
            return NOT_FOUND
        return OK if replace else EXISTS
    status = keyspace_copy(access, source, target, target_database, replace)
    if status == OK:
        keyspace_delete(access, source)
    return status


cdef Status keyspace_copy(Access* access, const Key* source, const Key* target, int target_database,
                          bint replace) noexcept nogil:
    """REQUIRES: source and target are not the same key of the same database."""
    cdef int database = access.database
    cdef Entry* entry = keyspace_peek(access, source)
    cdef Partition* partition
    cdef Slot* slot
    cdef EntryPlan plan
    cdef Status status
    if entry == NULL:
        return NOT_FOUND
    plan_from(&plan, entry)
    partition = partition_make(access, target, target_database)
    if partition == NULL:
        return NO_MEMORY
    access.database = target_database
    slot = find_live(access, partition, target)
    access.database = database
    if slot != NULL and not replace:
        return EXISTS
    status = store(access, partition, slot, target, target_database, &plan)
    return status


# --- changing a part of a value

cdef Status splice_new(Access* access, Partition* partition, Slot* slot, const Key* key, size_t offset,
                       const Bytes* bytes, size_t size) noexcept nogil:
    """The spliced value in memory of its own: on the stack when small, else a block with room to grow."""
    cdef char[2048] small        # ENTRY_INLINE_MAX
    cdef Block* block = NULL
    cdef char* data = small
    cdef EntryPlan plan
    cdef Status status
    if slot != NULL:
        plan_from(&plan, partition_entry(partition, slot))
    else:
        memset(&plan, 0, sizeof(EntryPlan))
        plan.type = TYPE_STRING
    if size > ENTRY_INLINE_MAX:
        block = block_new(size + (size >> 3))
        if block == NULL:
            return NO_MEMORY
        block.size = size
        data = block.data
    if plan.value.size:
        memcpy(data, plan.value.data, plan.value.size)
    if offset > plan.value.size:
        memset(data + plan.value.size, 0, offset - plan.value.size)
    memcpy(data + offset, bytes.data, bytes.size)
    plan.value.data = data
    plan.value.size = size
    plan.value.block = block
    plan.edited = True
    status = store(access, partition, slot, key, access.database, &plan)
    if block != NULL:
        block_release(block)
    return status


cdef bint splice_in_block(Access* access, Partition* partition, Slot* slot, const Key* key, size_t offset,
                          const Bytes* bytes, size_t size) noexcept nogil:
    """Splices inside the entry's own block, growing it by doubling; false when it is shared or there is none."""
    cdef Entry* entry = partition_entry(partition, slot)
    cdef Block* block
    cdef size_t old_size
    if not entry_flags(entry) & ENTRY_VALUE_APART:
        return False
    block = entry_value_block(entry)
    if load_acquire_u32(&block.references) != 1:
        return False
    old_size = block.size
    if size > block.capacity:
        block = block_reserve(block, min(<size_t> VALUE_BYTES_MAX, size + (size if size < (1 << 20) else (1 << 20))))
        if block == NULL:
            return False
        entry_set_value_block(entry, block)
    changed(access, access.database, key)
    if offset > old_size:
        memset(block.data + old_size, 0, offset - old_size)
    memcpy(block.data + offset, bytes.data, bytes.size)
    block.size = size
    entry.meta |= <uint32_t> ENTRY_EDITED << 28
    entry.access = access_tick(access)
    return True


cdef inline void entry_set_value_block(Entry* entry, Block* block) noexcept nogil:
    cdef uint32_t flags = entry_flags(entry)
    (<Block**> (entry + 1))[(flags & 1) + (flags >> 2 & 1)] = block


cdef Status keyspace_splice(Access* access, const Key* key, size_t offset, Bytes bytes, size_t* size) noexcept nogil:
    cdef Partition* partition = partition_make(access, key, access.database)
    cdef Slot* slot
    cdef size_t old_size = 0
    if partition == NULL:
        return NO_MEMORY
    slot = find_live(access, partition, key)
    if slot != NULL:
        old_size = entry_value(partition_entry(partition, slot)).size
    if offset > VALUE_BYTES_MAX or bytes.size > VALUE_BYTES_MAX - offset:
        return TOO_LARGE
    size[0] = max(old_size, offset + bytes.size)
    if slot != NULL and splice_in_block(access, partition, slot, key, offset, &bytes, size[0]):
        return OK
    return splice_new(access, partition, slot, key, offset, &bytes, size[0])


# --- the whole keyspace

cdef void partition_free_later(void* partition, void* context) noexcept nogil:
    partition_free(<Partition*> partition)


cdef void shard_flush(Access* access, Shard* shard, uint32_t index, int database) noexcept nogil:
    cdef Partition* partition = shard.partitions[database]
    if partition == NULL:
        return
    watched_touch_present(access, shard, index, database, database)
    store_relaxed_u64(&shard.dirty, shard.dirty + shard.counts[database])
    store_partition(&shard.partitions[database], NULL)
    store_relaxed_u64(&shard.counts[database], 0)
    store_relaxed_u64(&shard.volatile_counts[database], 0)
    quiet_retire_noted(&partition.note, partition, partition_free_later, NULL)


cdef void watched_touch_present(Access* access, Shard* shard, uint32_t index, int database,
                                int other) noexcept nogil:
    """Touches the keys watched in `database` that exist in it or in `other`, whose content is to take its place."""
    cdef Watched* watched = shard.watched
    cdef Key key
    cdef int before = access.database
    cdef bint present
    while watched != NULL:
        if watched.database == database:
            key = keyspace_key(access.keyspace, watched.key, watched.size)
            invariant(key.shard == index)
            access.database = database
            present = keyspace_peek(access, &key) != NULL
            access.database = other
            if present or keyspace_peek(access, &key) != NULL:
                watchlist_touch(shard.watched, database, watched.key, watched.size)
        watched = watched.next
    access.database = before


cdef void keyspace_flush(Access* access, int database) noexcept nogil:
    cdef Keyspace* keyspace = access.keyspace
    cdef Shard* shard
    cdef uint32_t i
    cdef int each
    invariant(access.exclusive and database < DATABASES_MAX)
    for i in range(keyspace.shard_count):
        shard = &keyspace.shards[i]
        if database >= 0:
            shard_flush(access, shard, i, database)
        else:
            for each in range(DATABASES_MAX):
                shard_flush(access, shard, i, each)


cdef void keyspace_swap(Access* access, int first, int second) noexcept nogil:
    cdef Keyspace* keyspace = access.keyspace
    cdef Shard* shard
    cdef Partition* partition
    cdef uint64_t count
    cdef uint32_t i
    invariant(access.exclusive)
    if first == second:
        return
    for i in range(keyspace.shard_count):
        shard = &keyspace.shards[i]
        if shard.watched != NULL:
            watched_touch_present(access, shard, i, first, second)
            watched_touch_present(access, shard, i, second, first)
        partition = shard.partitions[first]
        store_partition(&shard.partitions[first], shard.partitions[second])
        store_partition(&shard.partitions[second], partition)
        count = shard.counts[first]
        store_relaxed_u64(&shard.counts[first], shard.counts[second])
        store_relaxed_u64(&shard.counts[second], count)
        count = shard.volatile_counts[first]
        store_relaxed_u64(&shard.volatile_counts[first], shard.volatile_counts[second])
        store_relaxed_u64(&shard.volatile_counts[second], count)
    store_relaxed_u64(&keyspace.shards[0].dirty, keyspace.shards[0].dirty + 1)


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


cdef Entry* keyspace_random_in(Access* access, uint32_t shard, uint64_t random) noexcept nogil:
    cdef Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    cdef const Slot* slot
    cdef uint64_t start = random & 0xFFFFFFFFU
    cdef uint64_t position = start
    cdef bint wrapped = False
    cdef Entry* entry
    if partition == NULL:
        return NULL
    while True:                      # ends: position rises to the end, then from 0 to start
        slot = table_from(&partition.table, position)
        if slot == NULL or (wrapped and slot.bits >= start):
            if wrapped:
                return NULL
            wrapped = True
            position = 0
            continue
        entry = partition_entry(partition, slot)
        if not entry_expired(entry, access.now_ms):
            return entry
        position = <uint64_t> slot.bits + 1


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
        shard_unlock(keyspace, keyspace.upkeep_shard, True)
    more |= quiet_reclaim(64) > 0
    return more
