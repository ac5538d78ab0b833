# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Policies by samples: see sampling.pxd."""
from libc.stdint cimport INT64_MAX, uint32_t, uint64_t

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport ENTRY_EXPIRES, entry_expire_ms, entry_flags
from kvcy.engine.lru cimport LruList, lru_touch
from kvcy.engine.partition cimport LIST_LASTING, LIST_VOLATILE, Partition, partition_set_kind
from kvcy.engine.platform cimport load_relaxed_u32, prefetch
from kvcy.engine.policy cimport policy_candidates, policy_candidates_in, policy_evict
from kvcy.engine.shards cimport DATABASES_MAX, Shard, shard_lock, shard_unlock
from kvcy.engine.table cimport Slot, table_count, table_pick

cdef extern from *:
    """
    static __thread uint64_t kvcy_random_state = 0x9E3779B97F4A7C15u;
    static inline uint64_t kvcy_random(void) {      /* Marsaglia's xorshift64, multiplied: Vigna's xorshift* */
        uint64_t x = kvcy_random_state;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        kvcy_random_state = x;
        return x * 0x2545F4914F6CDD1Du;
    }
    """
    uint64_t next_random "kvcy_random"() nogil

cdef enum:
    DRAWS = 8                    # of as many places of a table as samples lack
    LFU_FIRST = 5                # the counter of a new key
    LFU_MAX = 255
    LFU_MINUTES_MASK = 0xFFFFFF

cdef struct Victim:
    int database
    uint32_t handle
    int64_t rank


cdef void consider(Keyspace* keyspace, const Policy* policy, Partition* partition, uint32_t handle, int64_t now_ms,
                   Victim* best) noexcept nogil:
    """REQUIRES: the entry may go."""
    cdef int64_t rank = policy.rank(keyspace, <const Entry*> arena_at(&partition.arena, handle), now_ms)
    if best.handle == 0 or rank > best.rank:
        best.handle = handle
        best.rank = rank


cdef int draw(const Partition* partition, int count, uint32_t* handles) noexcept nogil:
    """The keys at so many random places; answers how many that are. Slots, and then entries, are fetched all at once,
    since each would be a miss of the cache."""
    cdef const Slot* slots[SAMPLES]
    cdef int found = 0
    cdef int i
    for i in range(count):
        slots[i] = table_pick(&partition.table, next_random())
        prefetch(slots[i])
    for i in range(count):
        if slots[i] != NULL and slots[i].handle:
            handles[found] = slots[i].handle
            prefetch(arena_at(&partition.arena, handles[found]))
            found += 1
    return found


cdef void sample_table(Keyspace* keyspace, const Policy* policy, Partition* partition, int64_t now_ms,
                       Victim* best) noexcept nogil:
    cdef uint32_t handles[SAMPLES]
    cdef int seen = 0
    cdef const Entry* entry
    cdef int i
    for _ in range(DRAWS):
        for i in range(draw(partition, policy.samples - seen, handles)):
            entry = <const Entry*> arena_at(&partition.arena, handles[i])
            if policy.lasting or entry_flags(entry) & ENTRY_EXPIRES:
                consider(keyspace, policy, partition, handles[i], now_ms, best)
                seen += 1
        if seen == policy.samples:
            return


cdef void sample_list(Keyspace* keyspace, const Policy* policy, Partition* partition, int64_t now_ms,
                      Victim* best) noexcept nogil:
    """Looks at the last entries of the list and makes them the first."""
    cdef LruList* entries = &partition.lists[LIST_VOLATILE]
    cdef uint32_t handle
    if entries.count == 0:
        entries = &partition.lists[LIST_LASTING]
    for _ in range(min(<uint32_t> policy.samples, entries.count)):
        handle = entries.tail
        consider(keyspace, policy, partition, handle, now_ms, best)
        lru_touch(entries, &partition.arena, handle)


cdef int database_by_share(const Shard* shard, const Policy* policy, uint64_t random) noexcept nogil:
    """A database, each as often as it has keys that may go; -1: there are none. REQUIRES: locked."""
    cdef uint64_t total = 0
    cdef uint64_t at
    cdef int database
    for database in range(DATABASES_MAX):
        if shard.partitions[database] != NULL:
            total += policy_candidates_in(policy, shard.partitions[database])
    if total == 0:
        return -1
    at = random % total
    for database in range(DATABASES_MAX):
        if shard.partitions[database] == NULL:
            continue
        total = policy_candidates_in(policy, shard.partitions[database])
        if at < total:
            return database
        at -= total
    return -1


cdef bint take_sample(Keyspace* keyspace, const Policy* policy, uint32_t index, int64_t now_ms) noexcept nogil:
    """The same for one shard, which is locked here."""
    cdef Shard* shard = &keyspace.shards[index]
    cdef Partition* partition
    cdef Victim victim
    shard_lock(keyspace, index, True)
    victim.handle = 0
    victim.database = database_by_share(shard, policy, next_random() >> 1)
    if victim.database >= 0:
        partition = shard.partitions[victim.database]
        partition_set_kind(partition, policy.kind, keyspace, index, now_ms)
        if 4 * policy_candidates_in(policy, partition) >= table_count(&partition.table):
            sample_table(keyspace, policy, partition, now_ms, &victim)
        if victim.handle == 0:
            sample_list(keyspace, policy, partition, now_ms, &victim)
        policy_evict(keyspace, index, victim.database, victim.handle, now_ms)
    shard_unlock(keyspace, index, True)
    return victim.database >= 0


cdef bint sampling_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint64_t random = next_random()
    cdef uint32_t mask = keyspace.shard_count - 1
    cdef uint32_t index = <uint32_t> (random >> 8) & mask
    cdef uint32_t other = <uint32_t> (random >> 32) & mask
    cdef uint32_t visit
    if policy_candidates(policy, &keyspace.shards[other]) > policy_candidates(policy, &keyspace.shards[index]):
        index = other
    for visit in range(keyspace.shard_count):
        if policy_candidates(policy, &keyspace.shards[(index + visit) & mask]) != 0:
            if take_sample(keyspace, policy, (index + visit) & mask, now_ms):
                return True
    return False


# --- ranks and counters

cdef int64_t rank_none(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil:
    return 0


cdef int64_t rank_expiry(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil:
    return INT64_MAX - entry_expire_ms(entry)


cdef inline uint32_t minutes_of(int64_t now_ms) noexcept nogil:
    return <uint32_t> (now_ms // 60000) & LFU_MINUTES_MASK


cdef uint32_t decayed(const Keyspace* keyspace, uint32_t access, int64_t now_ms) noexcept nogil:
    cdef uint32_t minutes = (minutes_of(now_ms) - (access >> 8)) & LFU_MINUTES_MASK
    cdef uint32_t every = load_relaxed_u32(&keyspace.eviction.lfu_decay_minutes)
    cdef uint32_t counter = access & LFU_MAX
    cdef uint32_t periods = minutes // every if every else 0
    return counter - min(counter, periods)


cdef uint32_t note_frequency(const void* context, uint64_t hash, const uint32_t* access, int64_t now_ms) noexcept nogil:
    cdef const Keyspace* keyspace = <const Keyspace*> context
    cdef uint32_t minutes = minutes_of(now_ms) << 8
    cdef uint32_t counter
    cdef uint64_t chances
    if access == NULL:
        return minutes | LFU_FIRST
    counter = decayed(keyspace, load_relaxed_u32(access), now_ms)
    if counter < LFU_MAX:
        chances = 1
        if counter > LFU_FIRST:
            chances += <uint64_t> (counter - LFU_FIRST) * load_relaxed_u32(&keyspace.eviction.lfu_log_factor)
        if next_random() % chances == 0:
            counter += 1
    return minutes | counter


cdef int64_t rank_frequency(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil:
    """The least frequent first, among equals the one that was used the longest ago."""
    cdef uint32_t access = entry.access
    cdef int64_t rare = LFU_MAX - decayed(keyspace, access, now_ms)
    return rare << 24 | ((minutes_of(now_ms) - (access >> 8)) & LFU_MINUTES_MASK)


frequencies.note = note_frequency
