# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""S3-FIFO: see s3fifo.pxd.

    a ghost      uint64      number of departure:32 | hash bits:32, not 0
    ghosts       buckets of 8, by a hash of the hash bits; in a full bucket the one that has gone first gives way
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u32, load_relaxed_u64, prefetch
from kvcy.engine.policy cimport policy_candidates
from kvcy.engine.queues cimport (
    History, access_used, history_hint, history_make, history_replace, queue_access, queue_count, queue_hash,
    queue_move, queue_oldest, queue_uses, queues_of)
from kvcy.engine.tails cimport Order, Tail, tails_ahead, tails_done, tails_evict

cdef enum:
    SMALL = 0
    MAIN = 1
    SMALL_SHARE = 10             # one in so many entries
    USES_TO_STAY = 2
    BUCKET = 8                   # ghosts
    GHOSTS_MIN = 16


cdef inline uint64_t* bucket_of(const History* history, uint32_t bits) noexcept nogil:
    cdef uint64_t mixed = (<uint64_t> bits * 0x9E3779B97F4A7C15ULL) >> 20
    return &history.words[mixed & (history.count - 1) & ~<uint64_t> (BUCKET - 1)]


cdef void s3fifo_prefetch(const Keyspace* keyspace, uint64_t hash) noexcept nogil:
    cdef History history = history_hint(keyspace, hash)
    if history.count:
        prefetch(bucket_of(&history, <uint32_t> hash))


cdef inline uint32_t age_of(uint64_t ghost, uint64_t departed) noexcept nogil:
    """How many have gone since."""
    return <uint32_t> departed - <uint32_t> (ghost >> 32)


cdef bint ghost_take(const Keyspace* keyspace, uint64_t hash) noexcept nogil:
    """Whether the key is remembered; then it is no more. REQUIRES: its shard locked exclusively."""
    cdef const History* history = &queues_of(keyspace).histories[hash >> 32]
    cdef uint64_t departed = load_relaxed_u64(&queues_of(keyspace).departed)
    cdef uint64_t remembered = queue_count(keyspace, SMALL) + queue_count(keyspace, MAIN)
    cdef uint64_t* bucket
    cdef int i
    if history.words == NULL or history.kind != &s3fifo_kind:
        return False
    bucket = bucket_of(history, <uint32_t> hash)
    for i in range(BUCKET):
        if bucket[i] and <uint32_t> bucket[i] == <uint32_t> hash:
            remembered = remembered if age_of(bucket[i], departed) < remembered else 0
            bucket[i] = 0
            return remembered != 0
    return False


cdef void ghost_put(const History* history, uint64_t ghost, uint64_t departed) noexcept nogil:
    cdef uint64_t* bucket = bucket_of(history, <uint32_t> ghost)
    cdef uint64_t* place = bucket
    cdef int i
    for i in range(BUCKET):
        if bucket[i] == 0:
            place = &bucket[i]
            break
        if age_of(bucket[i], departed) > age_of(place[0], departed):
            place = &bucket[i]
    place[0] = ghost


cdef bint ghosts_fit(History* history, uint64_t entries, uint64_t departed) noexcept nogil:
    """Makes room for as many ghosts as the shard has entries, as far as memory allows. False: there is none."""
    cdef bint own = history.words != NULL and history.kind == &s3fifo_kind
    cdef uint64_t count = GHOSTS_MIN
    cdef History grown
    cdef uint64_t i
    if own and history.count >= entries + entries // 2:
        return True
    while count < 2 * entries:
        count *= 2
    if not history_make(&grown, &s3fifo_kind, count):
        return own
    if own:
        for i in range(history.count):
            if history.words[i]:
                ghost_put(&grown, history.words[i], departed)
    history_replace(history, &grown)
    return True


cdef void ghost_add(Keyspace* keyspace, const Policy* policy, const Tail* tail) noexcept nogil:
    cdef uint64_t hash = queue_hash(keyspace, tail)
    cdef History* history = &queues_of(keyspace).histories[tail.shard]
    cdef uint64_t departed = add_relaxed_u64(&queues_of(keyspace).departed, 1)
    if ghosts_fit(history, policy_candidates(policy, &keyspace.shards[tail.shard]), departed):
        ghost_put(history, departed << 32 | <uint32_t> hash, departed)


cdef uint32_t note(const void* context, uint64_t hash, const uint32_t* access, int64_t now_ms) noexcept nogil:
    cdef Keyspace* keyspace = <Keyspace*> context
    if access != NULL:
        return access_used(load_relaxed_u32(access))
    return queue_access(keyspace, MAIN if ghost_take(keyspace, hash) else SMALL)


cdef void step_small(Keyspace* keyspace, const Order* order, const Tail* tail, uint32_t uses) noexcept nogil:
    if uses >= USES_TO_STAY:
        queue_move(keyspace, order, tail, MAIN, 0, True)
        return
    ghost_add(keyspace, order.policy, tail)
    tails_evict(keyspace, order, tail)


cdef bint s3fifo_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint64_t small = queue_count(keyspace, SMALL)
    cdef uint64_t main = queue_count(keyspace, MAIN)
    cdef uint32_t queue = SMALL if main == 0 or SMALL_SHARE * small >= small + main else MAIN
    cdef uint32_t uses
    cdef Order order
    cdef Tail tail
    if not queue_oldest(keyspace, policy, queue, now_ms, &order, &tail):
        return False
    uses = queue_uses(&tail)
    if queue == SMALL:
        step_small(keyspace, &order, &tail, uses)
    elif uses:
        queue_move(keyspace, &order, &tail, MAIN, uses - 1, True)
    else:
        tails_evict(keyspace, &order, &tail)
    tails_done(keyspace, &order, &tail)
    s3fifo_prefetch(keyspace, tails_ahead(keyspace, &order))
    return True


s3fifo_kind.note = note
s3fifo_kind.queued = True
