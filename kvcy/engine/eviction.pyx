# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Eviction: see eviction.pxd.

The table of policies, exact LRU, and the loop that takes step by step. LRU's victim is the oldest tail of all shards
(tails.pxd), exact to the tick (4 ms), and within a shard.
"""
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.futex cimport store_ordered_u32, swap_ordered_u32
from kvcy.engine.log cimport LOG_WORKING, log_kick, log_state
from kvcy.engine.partition cimport LIST_LASTING, LIST_VOLATILE, AccessKind, Partition, partition_set_kind
from kvcy.engine.platform cimport (
    invariant, load_acquire_u32, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, store_relaxed_u64,
    store_release_u32)
from kvcy.engine.policy cimport Policy, Rank, Step, policy_candidates
from kvcy.engine.queues cimport queues_adopt, queues_make
from kvcy.engine.s3fifo cimport s3fifo_kind, s3fifo_prefetch, s3fifo_step
from kvcy.engine.sampling cimport (
    SAMPLES, decayed, frequencies, rank_expiry, rank_frequency, rank_none, sampling_step)
from kvcy.engine.shards cimport (
    DATABASES_MAX, key_hash, keyspace_counted_bytes, load_kind, shard_lock, shard_unlock, store_kind)
from kvcy.engine.sieve cimport sieve_kind, sieve_step
from kvcy.engine.tails cimport Order, Tail, tails_ahead, tails_done, tails_evict, tails_forget, tails_oldest
from kvcy.engine.tinylfu cimport tinylfu_kind, tinylfu_prefetch, tinylfu_step

cdef enum:
    POLICIES_COUNT = 11
    CLOCK_EVERY = 16             # steps between two looks at the clock

cdef Policy[POLICIES_COUNT] policies


# --- exact LRU

cdef bint lru_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef Order order
    cdef Tail tail
    order.policy = policy
    order.row = 0
    order.lists = 1 << LIST_VOLATILE | policy.lasting << LIST_LASTING
    order.mask = <uint32_t> 0xFFFFFFFFU
    order.position = <uint64_t> now_ms >> 2
    order.now_ms = now_ms
    if not tails_oldest(keyspace, &order, &tail):
        return False
    tails_evict(keyspace, &order, &tail)
    tails_done(keyspace, &order, &tail)
    tails_ahead(keyspace, &order)
    return True


# --- the table

cdef void define(uint32_t number, Step step, bint lasting, bint ordered, Rank rank, int samples,
                 const AccessKind* kind) noexcept:
    cdef Policy* policy = &policies[number]
    policy.step = step
    policy.lasting = lasting
    policy.ordered = ordered
    policy.rank = rank
    policy.samples = samples
    policy.kind = kind


POLICIES = ("noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
            "allkeys-lru", "allkeys-lfu", "allkeys-random",
            "allkeys-sieve", "allkeys-s3fifo", "allkeys-tinylfu")
define(0, NULL, False, False, NULL, 0, NULL)
define(1, lru_step, False, True, NULL, 0, NULL)
define(2, sampling_step, False, False, rank_frequency, SAMPLES, &frequencies)
define(3, sampling_step, False, False, rank_none, 1, NULL)
define(4, sampling_step, False, False, rank_expiry, SAMPLES, NULL)
define(5, lru_step, True, True, NULL, 0, NULL)
define(6, sampling_step, True, False, rank_frequency, SAMPLES, &frequencies)
define(7, sampling_step, True, False, rank_none, 1, NULL)
define(8, sieve_step, True, False, NULL, 0, &sieve_kind)
define(9, s3fifo_step, True, False, NULL, 0, &s3fifo_kind)
define(10, tinylfu_step, True, False, NULL, 0, &tinylfu_kind)


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


cdef bint eviction_configure(Keyspace* keyspace, uint32_t policy, uint32_t tenacity, uint32_t lfu_log_factor,
                             uint32_t lfu_decay_minutes) noexcept nogil:
    cdef const Policy* row = &policies[policy]
    invariant(policy < POLICIES_COUNT)
    if row.kind != NULL and row.kind.queued and not queues_make(keyspace):
        return False
    store_relaxed_u32(&keyspace.eviction.lfu_log_factor, lfu_log_factor)
    store_relaxed_u32(&keyspace.eviction.lfu_decay_minutes, lfu_decay_minutes)
    store_relaxed_u64(&keyspace.eviction.slice_ns, slice_of(tenacity))
    if policy == load_relaxed_u32(&keyspace.eviction.policy):
        return True
    tails_forget(keyspace)
    store_relaxed_u32(&keyspace.lru_ordered, row.ordered)
    store_kind(&keyspace.kind, row.kind)                        # whoever prefetches by it finds its queues,
    store_release_u32(&keyspace.eviction.policy, policy)        # and so does whoever steps by this
    store_ordered_u32(&keyspace.eviction.adopted, 0)
    return True


cdef void eviction_adopt(Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef Partition* partition
    cdef uint32_t i
    cdef int database
    # Before the kind is looked at: a policy that comes meanwhile makes it 0 again.
    swap_ordered_u32(&keyspace.eviction.adopted, 1)
    for i in range(keyspace.shard_count):
        shard_lock(keyspace, i, True)
        for database in range(DATABASES_MAX):
            partition = keyspace.shards[i].partitions[database]
            if partition != NULL:
                partition_set_kind(partition, load_kind(&keyspace.kind), keyspace, i, now_ms)
        queues_adopt(keyspace, i, load_kind(&keyspace.kind))
        shard_unlock(keyspace, i, True)


cdef bint eviction_step(Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef const Policy* policy = &policies[load_acquire_u32(&keyspace.eviction.policy)]
    return policy.step != NULL and policy.step(keyspace, policy, now_ms)


cdef bint candidates_left(const Keyspace* keyspace) noexcept nogil:
    cdef const Policy* policy = &policies[load_acquire_u32(&keyspace.eviction.policy)]
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        if policy.step != NULL and policy_candidates(policy, &keyspace.shards[i]) != 0:
            return True
    return False


cdef EvictionResult eviction_run(Keyspace* keyspace, int64_t now_ms, uint64_t further_bytes) noexcept nogil:
    cdef uint64_t limit = load_relaxed_u64(&keyspace.memory_bytes_max)
    cdef uint64_t began_ns = 0
    cdef uint32_t steps = 0
    while keyspace_counted_bytes(keyspace, limit) + further_bytes > limit:
        # Where several evict, what one has seen may be elsewhere when it comes to take it: a queue that others empty.
        if not eviction_step(keyspace, now_ms) and not candidates_left(keyspace):
            return EVICTION_NOTHING
        steps += 1
        if steps == 1:
            began_ns = monotonic_ns()
        elif steps % CLOCK_EVERY == 0 and \
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


cdef bint eviction_notes_ticks(const Keyspace* keyspace) noexcept nogil:
    return policies[load_relaxed_u32(&keyspace.eviction.policy)].kind == NULL


cdef bint eviction_counts_accesses(const Keyspace* keyspace) noexcept nogil:
    return policies[load_relaxed_u32(&keyspace.eviction.policy)].kind == &frequencies


cdef uint32_t eviction_frequency(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil:
    return decayed(keyspace, load_relaxed_u32(&entry.access), now_ms)


cdef void eviction_prefetch(const Keyspace* keyspace, const Key* key) noexcept nogil:
    cdef const AccessKind* kind = load_kind(&keyspace.kind)
    if kind == &tinylfu_kind:
        tinylfu_prefetch(keyspace, key_hash(key))
    elif kind == &s3fifo_kind:
        s3fifo_prefetch(keyspace, key_hash(key))
