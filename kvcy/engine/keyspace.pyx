# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The typed operations: see keyspace.pxd.

A mutation makes sure that it can be done (partition, table, cell, blocks), applies, and passes `changed`. An expired
entry that is met under an exclusive lock is removed by `expire_slot`, which is a mutation like any other.
"""
from libc.string cimport memcpy, memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Block, block_bytes, block_new, block_release, block_reserve
from kvcy.engine.entry cimport (
    ENTRY_EDITED, ENTRY_EXPIRES, ENTRY_INLINE_MAX, ENTRY_VALUE_APART, TYPE_STRING, entry_expire_ms, entry_expired,
    entry_flags, entry_type, entry_value, entry_value_block, entry_value_place)
from kvcy.engine.events cimport EVENT_EXPIRED, EVENT_KEYMISS, EVENT_NEW, event_raise
from kvcy.engine.holdings cimport holdings_resized
from kvcy.engine.journal cimport (
    Change, journal_delete, journal_expire, journal_put, journal_ready, journal_splice)
from kvcy.engine.lru cimport lru_touch
from kvcy.engine.partition cimport (
    Partition, partition_add, partition_entry, partition_entry_bytes, partition_find, partition_list,
    partition_new, partition_remove, partition_replace)
from kvcy.engine.platform cimport (
    add_own_u64, add_relaxed_u32, add_relaxed_u64, invariant, load_acquire_u32, load_relaxed_u32, store_relaxed_u32,
    store_relaxed_u64, unlikely)
from kvcy.engine.shards cimport (
    TOUCHES_MAX, Shard, key_hash, load_kind, shard_keep_touch, shard_lock, shard_unlock, store_partition)
from kvcy.engine.status cimport NOT_FOUND, NO_MEMORY, OK, TOO_LARGE
from kvcy.engine.table cimport Slot
from kvcy.engine.watchlist cimport watchlist_touch

# --- reading

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


cdef inline uint32_t noted_access(const Access* access, const Partition* partition, const Key* key,
                                  const Entry* entry) noexcept nogil:
    """What Entry.access is to hold after this access; `entry` is NULL for a new one."""
    cdef const uint32_t* before = NULL
    if unlikely(partition.kind != NULL):
        if entry != NULL:
            before = &entry.access
        return partition.kind.note(access.keyspace, key_hash(key), before, access.now_ms)
    return access_tick(access)


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
        return
    if access.keeps_touches:
        shard_keep_touch(shard, <uint64_t> access.database << 32 | handle)
    access.expired_seen += 1         # keyspace_settle applies them, this one too


cdef Entry* keyspace_get(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Slot* slot
    cdef Entry* entry
    cdef uint32_t noted
    slot = NULL if partition == NULL else find_live(access, partition, key)
    if slot == NULL:
        access.misses += 1
        event_raise(&access.keyspace.events, EVENT_KEYMISS, access.database, key.data, key.size)
        return NULL
    access.hits += 1
    entry = partition_entry(partition, slot)
    if not access.no_touch:
        noted = noted_access(access, partition, key, entry)
        if load_relaxed_u32(&entry.access) != noted:
            store_relaxed_u32(&entry.access, noted)
        if load_relaxed_u32(&access.keyspace.lru_ordered):
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
        if slot != NULL and load_relaxed_u32(&access.keyspace.lru_ordered) and not access.no_touch:
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
    """The single point every mutation of a key passes, under the lock it was or will be applied under."""
    cdef Shard* shard = &access.keyspace.shards[key.shard]
    invariant(access.exclusive)
    add_own_u64(&shard.dirty, 1)
    if unlikely(shard.watched != NULL):
        watchlist_touch(shard.watched, database, key.bits, key.data, key.size)


cdef inline Change change_of(const Access* access, int database, const Key* key) noexcept nogil:
    cdef Change change
    change.keyspace = access.keyspace
    change.group = access.group
    change.now_ms = access.now_ms
    change.shard = key.shard
    change.database = database
    change.key = key.data
    change.key_size = key.size
    return change


cdef inline void count_keys(Shard* shard, int database, int keys, int volatile_keys) noexcept nogil:
    if keys:
        add_own_u64(&shard.counts[database], keys)
    if volatile_keys:
        add_own_u64(&shard.volatile_counts[database], volatile_keys)


cdef void remove_slot(Access* access, Partition* partition, Slot* slot, const Key* key, int database) noexcept nogil:
    cdef bint was_volatile = (entry_flags(partition_entry(partition, slot)) & ENTRY_EXPIRES) != 0
    cdef Change change = change_of(access, database, key)
    changed(access, database, key)
    journal_delete(&change)          # first: the key may be the entry's own bytes
    partition_remove(partition, slot)
    count_keys(&access.keyspace.shards[key.shard], database, -1, -1 if was_volatile else 0)


cdef void expire_slot(Access* access, Partition* partition, Slot* slot, const Key* key) noexcept nogil:
    event_raise(&access.keyspace.events, EVENT_EXPIRED, access.database, key.data, key.size)
    remove_slot(access, partition, slot, key, access.database)
    add_relaxed_u64(&access.keyspace.expired_keys, 1)


cdef Partition* partition_make(Access* access, const Key* key, int database) noexcept nogil:
    """The partition, made if it is the database's first key in the shard; NULL when there is no memory."""
    cdef Partition** place = &access.keyspace.shards[key.shard].partitions[database]
    if place[0] == NULL:
        store_partition(place, partition_new(&access.keyspace.pool, load_kind(&access.keyspace.kind)))
    return place[0]


cdef Partition* keyspace_place(Access* access, const Key* key, Slot** slot) noexcept nogil:
    cdef Partition* partition = partition_make(access, key, access.database)
    slot[0] = NULL if partition == NULL else find_live(access, partition, key)
    return partition


cdef void keyspace_plan(const Access* access, const Partition* partition, const Slot* slot, const Key* key,
                        EntryPlan* plan) noexcept nogil:
    plan.key = key.data
    plan.key_size = key.size
    plan.access = noted_access(access, partition, key, NULL if slot == NULL else partition_entry(partition, slot))


cdef inline void stored(Access* access, int database, const Key* key, const EntryPlan* plan, bint replaced,
                        bint was_volatile) noexcept nogil:
    count_keys(&access.keyspace.shards[key.shard], database, 0 if replaced else 1,
               (1 if plan.expire_ms else 0) - (1 if was_volatile else 0))
    changed(access, database, key)
    if not replaced:
        event_raise(&access.keyspace.events, EVENT_NEW, database, key.data, key.size)


cdef void keyspace_stored(Access* access, Partition* partition, const Key* key, const EntryPlan* plan,
                          const Entry* replaced) noexcept nogil:
    cdef Change change = change_of(access, access.database, key)
    if replaced != NULL and load_relaxed_u32(&access.keyspace.lru_ordered):
        record_touch(access, partition, key, partition_find(partition, key.bits, key.data, key.size).handle)
    stored(access, access.database, key, plan, replaced != NULL,
           replaced != NULL and entry_flags(replaced) & ENTRY_EXPIRES != 0)
    journal_put(&change, plan)


cdef Status store(Access* access, Partition* partition, Slot* slot, const Key* key, int database,
                  EntryPlan* plan) noexcept nogil:
    """Adds the entry, or replaces the one in `slot` if that is not NULL."""
    cdef bint was_volatile = False
    keyspace_plan(access, partition, slot, key, plan)
    if slot == NULL:
        if not partition_add(partition, key.bits, plan):
            return NO_MEMORY
    else:
        was_volatile = (entry_flags(partition_entry(partition, slot)) & ENTRY_EXPIRES) != 0
        if not partition_replace(partition, slot, plan):
            return NO_MEMORY
        if load_relaxed_u32(&access.keyspace.lru_ordered):
            record_touch(access, partition, key, slot.handle)
    stored(access, database, key, plan, slot != NULL, was_volatile)
    return OK


cdef Status store_logged(Access* access, Partition* partition, Slot* slot, const Key* key, int database,
                         EntryPlan* plan) noexcept nogil:
    """As store, and the log learns the whole entry. REQUIRES: the plan's value is not in the entry that is replaced."""
    cdef Change change = change_of(access, database, key)
    cdef Status status
    if not journal_ready(access.keyspace, access.group, key.size, plan.value.size):
        return NO_MEMORY
    status = store(access, partition, slot, key, database, plan)
    if status == OK:
        journal_put(&change, plan)
    return status


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
    return store_logged(access, partition, slot, key, access.database, &plan)


cdef Status keyspace_restore(Access* access, const Key* key, EntryPlan* plan) noexcept nogil:
    cdef Partition* partition = partition_make(access, key, access.database)
    invariant(access.exclusive and plan.expire_ms >= EXPIRE_NONE)
    if partition == NULL:
        return NO_MEMORY
    if plan.value.size > VALUE_BYTES_MAX:
        return TOO_LARGE
    return store_logged(access, partition, find_live(access, partition, key), key, access.database, plan)


cdef inline Slot* find_to_remove(Access* access, const Key* key) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    return NULL if partition == NULL else find_live(access, partition, key)


cdef bint keyspace_delete(Access* access, const Key* key) noexcept nogil:
    cdef Slot* slot = find_to_remove(access, key)
    if slot != NULL:
        remove_slot(access, partition_at(access, key, access.database), slot, key, access.database)
    return slot != NULL


cdef bint keyspace_remove(Access* access, const Key* key, Event event) noexcept nogil:
    cdef Slot* slot = find_to_remove(access, key)
    if slot != NULL:
        event_raise(&access.keyspace.events, event, access.database, key.data, key.size)
        remove_slot(access, partition_at(access, key, access.database), slot, key, access.database)
    return slot != NULL


cdef void keyspace_plan_from(EntryPlan* plan, const Entry* entry) noexcept nogil:
    plan.value = entry_value(entry)
    plan.expire_ms = entry_expire_ms(entry)
    plan.type = entry_type(entry)
    plan.edited = (entry_flags(entry) & ENTRY_EDITED) != 0


cdef Status keyspace_expire_at(Access* access, const Key* key, int64_t expire_ms) noexcept nogil:
    cdef Partition* partition = partition_at(access, key, access.database)
    cdef Change change = change_of(access, access.database, key)
    cdef Slot* slot
    cdef EntryPlan plan
    cdef Status status
    if partition == NULL:
        return NOT_FOUND
    slot = find_live(access, partition, key)
    if slot == NULL:
        return NOT_FOUND
    if expire_ms != EXPIRE_NONE and expire_ms <= access.now_ms:
        remove_slot(access, partition, slot, key, access.database)
        return OK
    keyspace_plan_from(&plan, partition_entry(partition, slot))
    plan.expire_ms = expire_ms
    status = store(access, partition, slot, key, access.database, &plan)
    if status == OK:
        journal_expire(&change, expire_ms)
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
        keyspace_plan_from(&plan, partition_entry(partition, slot))
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
    cdef uint64_t old_bytes
    if not entry_flags(entry) & ENTRY_VALUE_APART:
        return False
    block = entry_value_block(entry)
    if load_acquire_u32(&block.references) != 1:
        return False
    old_size = block.size
    if size > block.capacity:
        old_bytes = block_bytes(block)
        block = block_reserve(block, min(<size_t> VALUE_BYTES_MAX, size + (size if size < (1 << 20) else (1 << 20))))
        if block == NULL:
            return False
        entry_value_place(entry)[0] = block
        holdings_resized(&partition.held, block, old_bytes)
    changed(access, access.database, key)
    if offset > old_size:
        memset(block.data + old_size, 0, offset - old_size)
    memcpy(block.data + offset, bytes.data, bytes.size)
    block.size = size
    entry.meta |= <uint32_t> ENTRY_EDITED << 28
    entry.access = noted_access(access, partition, key, entry)
    if load_relaxed_u32(&access.keyspace.lru_ordered):
        record_touch(access, partition, key, slot.handle)
    return True


cdef Status keyspace_splice(Access* access, const Key* key, size_t offset, Bytes bytes, size_t* size) noexcept nogil:
    cdef Partition* partition = partition_make(access, key, access.database)
    cdef Change change = change_of(access, access.database, key)
    cdef Slot* slot
    cdef size_t old_size = 0
    cdef Status status
    if partition == NULL:
        return NO_MEMORY
    slot = find_live(access, partition, key)
    if slot != NULL:
        old_size = entry_value(partition_entry(partition, slot)).size
    if offset > VALUE_BYTES_MAX or bytes.size > VALUE_BYTES_MAX - offset:
        return TOO_LARGE
    size[0] = max(old_size, offset + bytes.size)
    if not journal_ready(access.keyspace, access.group, key.size, bytes.size):
        return NO_MEMORY
    status = OK
    if slot == NULL or not splice_in_block(access, partition, slot, key, offset, &bytes, size[0]):
        status = splice_new(access, partition, slot, key, offset, &bytes, size[0])
    if status == OK:
        journal_splice(&change, offset, bytes.data, bytes.size)
    return status
