# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The oldest entry of all shards: see tails.pxd."""
from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_key
from kvcy.engine.partition cimport LISTS_COUNT, partition_set_kind
from kvcy.engine.platform cimport load_relaxed_u64, prefetch, store_relaxed_u64
from kvcy.engine.policy cimport policy_candidates, policy_evict
from kvcy.engine.shards cimport (
    DATABASES_MAX, Key, Shard, Victim, key_hash, keyspace_key, shard_lock, shard_unlock)
from kvcy.engine.table cimport table_hint

cdef enum:
    FUTURE_SPAN = 0xFFFFF        # a place so little before the present, going round, is of the future


cdef inline uint64_t age_of(const Entry* entry, const Order* order) noexcept nogil:
    """What lies in the future, by another thread's clock or a clock set back, is new."""
    cdef uint32_t age = (<uint32_t> order.position - entry.access) & order.mask
    return age if age < order.mask - FUTURE_SPAN else 0


cdef inline uint64_t* published(const Keyspace* keyspace, const Order* order) noexcept nogil:
    return keyspace.eviction.oldest + order.row * keyspace.shard_count


cdef uint32_t oldest_shard(const Keyspace* keyspace, const Order* order, uint32_t visit, uint64_t* age) noexcept nogil:
    """The shard whose position is the oldest, and how old that is; each in turn where none is before the present."""
    cdef const uint64_t* positions = published(keyspace, order)
    cdef uint32_t found = visit & (keyspace.shard_count - 1)
    cdef uint64_t oldest = order.position
    cdef uint64_t one
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        one = load_relaxed_u64(&positions[i])
        if one < oldest:
            oldest = one
            found = i
    age[0] = order.position - oldest
    return found


cdef void find_tail(Keyspace* keyspace, const Order* order, Tail* tail) noexcept nogil:
    """The oldest of tail.shard, which is locked exclusively."""
    cdef Shard* shard = &keyspace.shards[tail.shard]
    cdef Partition* partition
    cdef uint64_t age
    cdef uint32_t handle
    cdef uint32_t list
    cdef int database
    tail.handle = 0
    tail.age = 0
    for database in range(DATABASES_MAX):
        partition = shard.partitions[database]
        if partition == NULL:
            continue
        if partition.kind != order.policy.kind:
            partition_set_kind(partition, order.policy.kind, keyspace, tail.shard, order.now_ms)
        for list in range(<uint32_t> LISTS_COUNT):
            handle = partition.lists[list].tail
            if handle == 0 or not order.lists >> list & 1:
                continue
            age = age_of(<const Entry*> arena_at(&partition.arena, handle), order)
            if tail.handle == 0 or age > tail.age:
                tail.partition = partition
                tail.database = database
                tail.handle = handle
                tail.list = list
                tail.age = age


cdef inline Victim* victim_of(const Keyspace* keyspace, const Order* order, uint32_t shard) noexcept nogil:
    return &keyspace.eviction.victims[order.row * keyspace.shard_count + shard]


cdef void tell_victim(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil:
    cdef Victim* victim = victim_of(keyspace, order, tail.shard)
    cdef const Entry* entry = <const Entry*> arena_at(&tail.partition.arena, tail.handle)
    cdef Bytes name
    cdef Key key
    if load_relaxed_u64(&victim.entry) == <uint64_t> entry:
        return
    name = entry_key(entry)
    key = keyspace_key(keyspace, name.data, name.size)
    store_relaxed_u64(&victim.entry, <uint64_t> entry)
    store_relaxed_u64(&victim.slot, <uint64_t> table_hint(&tail.partition.table, key.bits))
    store_relaxed_u64(&victim.hash, key_hash(&key))


cdef inline void publish(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil:
    """The shard's oldest tail, or, when it has none, the present: what comes later is not older."""
    store_relaxed_u64(&published(keyspace, order)[tail.shard], order.position - tail.age)
    if tail.handle:
        tell_victim(keyspace, order, tail)


cdef inline void prefetch_before(const Tail* tail) noexcept nogil:
    """The entry that will be the oldest of its list when this one has gone."""
    cdef const Entry* entry = <const Entry*> arena_at(&tail.partition.arena, tail.handle)
    if entry.previous:
        prefetch(arena_at(&tail.partition.arena, entry.previous))


cdef uint64_t tails_ahead(const Keyspace* keyspace, const Order* order) noexcept nogil:
    cdef uint64_t age
    cdef const Victim* victim = victim_of(keyspace, order, oldest_shard(keyspace, order, 0, &age))
    cdef const char* entry = <const char*> load_relaxed_u64(&victim.entry)
    prefetch(entry)
    prefetch(entry + 32)                           # the end of its key
    prefetch(<const void*> load_relaxed_u64(&victim.slot))
    return load_relaxed_u64(&victim.hash)


cdef bint tails_oldest(Keyspace* keyspace, const Order* order, Tail* tail) noexcept nogil:
    cdef uint64_t age
    cdef uint32_t visit
    for visit in range(2 * keyspace.shard_count):
        tail.shard = oldest_shard(keyspace, order, visit, &age)
        if policy_candidates(order.policy, &keyspace.shards[tail.shard]) == 0:
            store_relaxed_u64(&published(keyspace, order)[tail.shard], order.position)
            continue
        shard_lock(keyspace, tail.shard, True)
        find_tail(keyspace, order, tail)
        # Where others are quicker than the corrections, what was found has to do.
        if tail.handle != 0 and (tail.age >= age or visit >= keyspace.shard_count):
            prefetch_before(tail)
            return True
        publish(keyspace, order, tail)
        shard_unlock(keyspace, tail.shard, True)
    return False


cdef void tails_publish(Keyspace* keyspace, const Order* order, uint32_t shard) noexcept nogil:
    cdef Tail tail
    tail.shard = shard
    find_tail(keyspace, order, &tail)
    publish(keyspace, order, &tail)


cdef void tails_evict(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil:
    policy_evict(keyspace, tail.shard, tail.database, tail.handle, order.now_ms)


cdef void tails_done(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil:
    tails_publish(keyspace, order, tail.shard)
    shard_unlock(keyspace, tail.shard, True)


cdef void tails_forget(Keyspace* keyspace) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t> LISTS_COUNT * keyspace.shard_count):
        store_relaxed_u64(&keyspace.eviction.oldest[i], 0)
