# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Eviction: see eviction.pxd.

    by the lists       the victim is the oldest tail of all shards. Of each shard a tick is published that is not behind
    (lru)              any of its tails; the shard with the oldest is locked, and if its tail was used since, the tick
                       is corrected and the search goes on. So the order is global to the tick (4 ms), and exact
                       within a shard, while finding the shard is one pass over an array of integers.
    by samples         of two random shards the fuller one is taken, there a database by its share, and of SAMPLES of
    (random, lfu, ttl) its keys the one of the highest rank goes. Where few keys may go, samples come from the end of
                       their list, which is turned round as they are looked at, so that each has its turn.

The frequency (lfu) is kept as Redis documents it: 24 bits of minutes and a logarithmic counter of 8 bits that loses one
every lfu-decay-time minutes.

Limits: a volatile-random victim is the next of the list, not a random one, where less than a quarter of a database's
keys have an expiry.
"""
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.entry cimport ENTRY_EXPIRES, entry_expire_ms, entry_flags, entry_key
from kvcy.engine.keyspace cimport Access, keyspace_delete
from kvcy.engine.log cimport LOG_WORKING, log_kick, log_state
from kvcy.engine.lru cimport LruList, lru_touch
from kvcy.engine.partition cimport (
    LIST_LASTING, LIST_VOLATILE, AccessKind, Partition, partition_entry, partition_set_kind)
from kvcy.engine.platform cimport (
    add_relaxed_u64, invariant, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, store_relaxed_u64)
from kvcy.engine.shards cimport (
    DATABASES_MAX, Key, Shard, keyspace_key, keyspace_used_bytes, load_kind, shard_lock, shard_unlock, store_kind)
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
    POLICIES_COUNT = 8
    SAMPLES = 16
    DRAWS_PER_SAMPLE = 8         # places of a table looked at, for one key that may go
    FUTURE_TICKS = 0xFFF00000    # an age in ticks from here on, an hour and more below 0, is no age
    CLOCK_EVERY = 16             # evictions between two looks at the clock
    LFU_FIRST = 5                # the counter of a new key
    LFU_MAX = 255
    LFU_MINUTES_MASK = 0xFFFFFF

cdef struct Policy
ctypedef bint (*Take)(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
ctypedef int64_t (*Rank)(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil

cdef struct Policy:
    Take take                    # evicts one key; false: there is none that may go. NULL: nothing is ever evicted
    Rank rank                    # among samples, the highest goes first
    int samples
    bint lasting                 # keys without an expiry may go too
    bint ordered                 # reads move entries in the lists
    const AccessKind* kind

cdef struct Victim:
    int database
    uint32_t handle
    int64_t rank

cdef Policy[POLICIES_COUNT] policies
cdef AccessKind frequencies


# --- what the kinds have in common

cdef inline uint64_t candidates(const Partition* partition, const Policy* policy) noexcept nogil:
    """How many keys of it may go."""
    return table_count(&partition.table) if policy.lasting else partition.lists[LIST_VOLATILE].count


cdef uint64_t shard_candidates(const Shard* shard, const Policy* policy) noexcept nogil:
    """The same of a shard, read without its lock."""
    cdef const uint64_t* counts = &shard.counts[0]
    cdef uint64_t total = 0
    cdef int database
    if not policy.lasting:
        counts = &shard.volatile_counts[0]
    for database in range(DATABASES_MAX):
        total += load_relaxed_u64(&counts[database])
    return total


cdef void evict(Keyspace* keyspace, uint32_t index, const Victim* victim, int64_t now_ms) noexcept nogil:
    """REQUIRES: the shard locked exclusively. An entry that has expired counts as expired."""
    cdef Partition* partition = keyspace.shards[index].partitions[victim.database]
    cdef Bytes name = entry_key(<const Entry*> arena_at(&partition.arena, victim.handle))
    cdef Key key = keyspace_key(keyspace, name.data, name.size)
    cdef Access access
    invariant(key.shard == index)
    memset(&access, 0, sizeof(Access))
    access.keyspace = keyspace
    access.now_ms = now_ms
    access.database = victim.database
    access.exclusive = True
    if keyspace_delete(&access, &key):
        add_relaxed_u64(&keyspace.evicted_keys, 1)


# --- by the lists

cdef inline uint64_t tick_of(int64_t now_ms) noexcept nogil:
    return <uint64_t> now_ms >> 2


cdef inline int64_t age_of(const Entry* entry, uint64_t tick) noexcept nogil:
    """Ticks since the last access. What lies in the future, by another thread's clock or a clock set back, is new."""
    cdef uint32_t age = <uint32_t> tick - entry.access
    return age if age < FUTURE_TICKS else 0


cdef uint32_t oldest_shard(const Keyspace* keyspace, uint64_t tick, uint32_t visit, int64_t* age) noexcept nogil:
    """The shard whose published tick is the oldest, and how old that is; each in turn where none is before `tick`."""
    cdef const uint64_t* ticks = keyspace.eviction.oldest
    cdef uint32_t found = visit & (keyspace.shard_count - 1)
    cdef uint64_t oldest = tick
    cdef uint64_t one
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        one = load_relaxed_u64(&ticks[i])
        if one < oldest:
            oldest = one
            found = i
    age[0] = tick - oldest
    return found


cdef bint oldest_tail(const Shard* shard, const Policy* policy, uint64_t tick, Victim* victim) noexcept nogil:
    """The entry of the shard used the longest ago; its rank is its age in ticks. REQUIRES: locked exclusively."""
    cdef Partition* partition
    cdef uint32_t tails[2]
    cdef int64_t age
    cdef int database, i
    victim.handle = 0
    for database in range(DATABASES_MAX):
        partition = shard.partitions[database]
        if partition == NULL:
            continue
        tails[0] = partition.lists[LIST_VOLATILE].tail
        tails[1] = partition.lists[LIST_LASTING].tail if policy.lasting else 0
        for i in range(2):
            if tails[i] == 0:
                continue
            age = age_of(<const Entry*> arena_at(&partition.arena, tails[i]), tick)
            if victim.handle == 0 or age > victim.rank:
                victim.database = database
                victim.handle = tails[i]
                victim.rank = age
    return victim.handle != 0


cdef void publish(Keyspace* keyspace, uint32_t index, const Victim* tail, uint64_t tick) noexcept nogil:
    """The shard's oldest tail, or, when it has none, `tick`: what comes later is not older."""
    store_relaxed_u64(&keyspace.eviction.oldest[index], tick - tail.rank if tail.handle != 0 else tick)


cdef bint take_oldest(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint64_t tick = tick_of(now_ms)
    cdef uint32_t index, visit
    cdef int64_t age
    cdef Victim victim
    cdef bint taken
    for visit in range(2 * keyspace.shard_count):
        index = oldest_shard(keyspace, tick, visit, &age)
        if shard_candidates(&keyspace.shards[index], policy) == 0:
            store_relaxed_u64(&keyspace.eviction.oldest[index], tick)
            continue
        shard_lock(keyspace, index, True)
        taken = oldest_tail(&keyspace.shards[index], policy, tick, &victim)
        # Where others are quicker than the corrections, what was found has to do.
        taken = taken and (victim.rank >= age or visit >= keyspace.shard_count)
        if taken:
            evict(keyspace, index, &victim, now_ms)
            oldest_tail(&keyspace.shards[index], policy, tick, &victim)
        publish(keyspace, index, &victim, tick)
        shard_unlock(keyspace, index, True)
        if taken:
            return True
    return False


# --- by samples

cdef void consider(Keyspace* keyspace, const Policy* policy, Partition* partition, uint32_t handle, int64_t now_ms,
                   Victim* best) noexcept nogil:
    cdef const Entry* entry = <const Entry*> arena_at(&partition.arena, handle)
    cdef int64_t rank
    if not policy.lasting and not entry_flags(entry) & ENTRY_EXPIRES:
        return
    rank = policy.rank(keyspace, entry, now_ms)
    if best.handle == 0 or rank > best.rank:
        best.handle = handle
        best.rank = rank


cdef void sample_table(Keyspace* keyspace, const Policy* policy, Partition* partition, int64_t now_ms,
                       Victim* best) noexcept nogil:
    cdef int seen = 0
    cdef const Slot* slot
    for _ in range(policy.samples * DRAWS_PER_SAMPLE):
        slot = table_pick(&partition.table, next_random())
        if slot == NULL or not (policy.lasting or entry_flags(partition_entry(partition, slot)) & ENTRY_EXPIRES):
            continue
        consider(keyspace, policy, partition, slot.handle, now_ms, best)
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
            total += candidates(shard.partitions[database], policy)
    if total == 0:
        return -1
    at = random % total
    for database in range(DATABASES_MAX):
        if shard.partitions[database] == NULL:
            continue
        total = candidates(shard.partitions[database], policy)
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
        if 4 * candidates(partition, policy) >= table_count(&partition.table):
            sample_table(keyspace, policy, partition, now_ms, &victim)
        if victim.handle == 0:
            sample_list(keyspace, policy, partition, now_ms, &victim)
        evict(keyspace, index, &victim, now_ms)
    shard_unlock(keyspace, index, True)
    return victim.database >= 0


cdef bint take_sampled(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint64_t random = next_random()
    cdef uint32_t mask = keyspace.shard_count - 1
    cdef uint32_t index = <uint32_t> (random >> 8) & mask
    cdef uint32_t other = <uint32_t> (random >> 32) & mask
    cdef uint32_t visit
    if shard_candidates(&keyspace.shards[other], policy) > shard_candidates(&keyspace.shards[index], policy):
        index = other
    for visit in range(keyspace.shard_count):
        if shard_candidates(&keyspace.shards[(index + visit) & mask], policy) != 0:
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


cdef inline uint32_t decayed(const Keyspace* keyspace, uint32_t access, int64_t now_ms) noexcept nogil:
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


# --- the table

cdef void define(uint32_t number, Take take, bint lasting, bint ordered, Rank rank, int samples,
                 const AccessKind* kind) noexcept:
    cdef Policy* policy = &policies[number]
    policy.take = take
    policy.lasting = lasting
    policy.ordered = ordered
    policy.rank = rank
    policy.samples = samples
    policy.kind = kind


POLICIES = ("noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
            "allkeys-lru", "allkeys-lfu", "allkeys-random")
frequencies.note = note_frequency
define(0, NULL, False, False, NULL, 0, NULL)
define(1, take_oldest, False, True, NULL, 0, NULL)
define(2, take_sampled, False, False, rank_frequency, SAMPLES, &frequencies)
define(3, take_sampled, False, False, rank_none, 1, NULL)
define(4, take_sampled, False, False, rank_expiry, SAMPLES, NULL)
define(5, take_oldest, True, True, NULL, 0, NULL)
define(6, take_sampled, True, False, rank_frequency, SAMPLES, &frequencies)
define(7, take_sampled, True, False, rank_none, 1, NULL)


# --- from outside

cdef uint64_t slice_of(uint32_t tenacity) noexcept nogil:
    """50 us a step up to 10, then 15 % more a step; 100: without an end."""
    cdef uint64_t slice_ns = 50000 * <uint64_t> min(tenacity, <uint32_t> 10)
    if tenacity >= 100:
        return UINT64_MAX
    while tenacity > 10:
        slice_ns += slice_ns * 15 // 100
        tenacity -= 1
    return slice_ns


cdef void eviction_configure(Keyspace* keyspace, uint32_t policy, uint32_t tenacity, uint32_t lfu_log_factor,
                             uint32_t lfu_decay_minutes) noexcept nogil:
    cdef const Policy* row = &policies[policy]
    cdef uint32_t i
    invariant(policy < POLICIES_COUNT)
    store_relaxed_u32(&keyspace.eviction.lfu_log_factor, lfu_log_factor)
    store_relaxed_u32(&keyspace.eviction.lfu_decay_minutes, lfu_decay_minutes)
    store_relaxed_u64(&keyspace.eviction.slice_ns, slice_of(tenacity))
    if policy == load_relaxed_u32(&keyspace.eviction.policy):
        return
    for i in range(keyspace.shard_count):
        store_relaxed_u64(&keyspace.eviction.oldest[i], 0)      # unknown: looked at first
    store_relaxed_u32(&keyspace.lru_ordered, row.ordered)
    store_kind(&keyspace.kind, row.kind)
    store_relaxed_u32(&keyspace.eviction.policy, policy)
    store_relaxed_u32(&keyspace.eviction.adopted, 0)


cdef void eviction_adopt(Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef Partition* partition
    cdef uint32_t i
    cdef int database
    store_relaxed_u32(&keyspace.eviction.adopted, 1)
    for i in range(keyspace.shard_count):
        shard_lock(keyspace, i, True)
        for database in range(DATABASES_MAX):
            partition = keyspace.shards[i].partitions[database]
            if partition != NULL:
                partition_set_kind(partition, load_kind(&keyspace.kind), keyspace, now_ms)
        shard_unlock(keyspace, i, True)


cdef EvictionResult eviction_run(Keyspace* keyspace, int64_t now_ms, uint64_t further_bytes) noexcept nogil:
    cdef uint64_t limit = load_relaxed_u64(&keyspace.memory_bytes_max)
    cdef const Policy* policy = &policies[load_relaxed_u32(&keyspace.eviction.policy)]
    cdef uint64_t began_ns = 0
    cdef uint32_t evicted = 0
    while keyspace_used_bytes(keyspace) + further_bytes > limit:
        if policy.take == NULL or not policy.take(keyspace, policy, now_ms):
            return EVICTION_NOTHING
        evicted += 1
        if evicted == 1:
            began_ns = monotonic_ns()
        elif evicted % CLOCK_EVERY == 0 and \
                monotonic_ns() - began_ns > load_relaxed_u64(&keyspace.eviction.slice_ns):
            return EVICTION_RUNNING
    return EVICTION_DONE


cdef bint eviction_upkeep(Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef EvictionResult result
    if load_relaxed_u32(&keyspace.eviction.adopted) == 0:
        eviction_adopt(keyspace, now_ms)
    if load_relaxed_u64(&keyspace.memory_bytes_max) == 0:
        return False
    if keyspace.log != NULL and log_state(keyspace.log) != LOG_WORKING:
        return False
    result = eviction_run(keyspace, now_ms, 0)
    if keyspace.log != NULL:
        log_kick(keyspace.log)
    return result == EVICTION_RUNNING


cdef bint eviction_counts_accesses(const Keyspace* keyspace) noexcept nogil:
    return policies[load_relaxed_u32(&keyspace.eviction.policy)].kind == &frequencies


cdef uint32_t eviction_frequency(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil:
    return decayed(keyspace, load_relaxed_u32(&entry.access), now_ms)
