# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Queues: see queues.pxd."""
from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_key
from kvcy.engine.lru cimport lru_push, lru_remove
from kvcy.engine.memory cimport memory_array_free, memory_array_new, memory_free, memory_new_zeroed
from kvcy.engine.partition cimport Partition
from kvcy.engine.platform cimport invariant, store_relaxed_u64
from kvcy.engine.shards cimport SHARDS_MAX, Key, key_hash, keyspace_key, shard_lock, shard_unlock
from kvcy.engine.tails cimport tails_oldest, tails_publish


# --- what is remembered

cdef inline void history_set(History* history, uint64_t* words, uint64_t count) noexcept nogil:
    """Whoever prefetches reads both without a lock."""
    store_relaxed_u64(<uint64_t*> &history.words, <uint64_t> words)
    store_relaxed_u64(&history.count, count)


cdef void history_free(History* history) noexcept nogil:
    if history.words != NULL:
        memory_array_free(history.words, history.count * sizeof(uint64_t))
    history_set(history, NULL, 0)
    history.additions = 0
    history.hits = 0


cdef bint history_make(History* history, const AccessKind* kind, uint64_t count) noexcept nogil:
    history.words = <uint64_t*> memory_array_new(count * sizeof(uint64_t))
    history.kind = kind
    history.count = count
    history.additions = 0
    history.hits = 0
    return history.words != NULL


cdef void history_replace(History* history, const History* grown) noexcept nogil:
    history_free(history)
    history.kind = grown.kind
    history.additions = grown.additions
    history.hits = grown.hits
    history_set(history, grown.words, grown.count)


cdef void queues_free(void* queues) noexcept nogil:
    cdef uint32_t i
    for i in range((<Queues*> queues).shard_count):
        history_free(&(<Queues*> queues).histories[i])
    memory_free(queues)


cdef bint queues_make(Keyspace* keyspace) noexcept nogil:
    cdef size_t spare = (SHARDS_MAX - keyspace.shard_count) * sizeof(History)
    cdef Queues* queues
    cdef uint32_t i
    if keyspace.eviction.queues != NULL:
        return True
    queues = <Queues*> memory_new_zeroed(sizeof(Queues) - spare)
    if queues == NULL:
        return False
    queues.shard_count = keyspace.shard_count
    keyspace.eviction.queues_free = queues_free
    keyspace.eviction.queues = queues
    for i in range(keyspace.shard_count):        # whoever locks a shard from now on sees it
        shard_lock(keyspace, i, True)
        shard_unlock(keyspace, i, True)
    return True


cdef void queues_adopt(Keyspace* keyspace, uint32_t shard, const AccessKind* kind) noexcept nogil:
    cdef Queues* queues = queues_of(keyspace)
    if queues != NULL and queues.histories[shard].kind != kind:
        history_free(&queues.histories[shard])


# --- queues

cdef bint queue_oldest(Keyspace* keyspace, const Policy* policy, uint32_t queue, int64_t now_ms, Order* order,
                       Tail* tail) noexcept nogil:
    order.policy = policy
    order.row = queue
    order.lists = <uint32_t> 1 << queue
    order.mask = PLACE_MASK
    order.position = load_relaxed_u64(&keyspace.pool.places)
    order.now_ms = now_ms
    return tails_oldest(keyspace, order, tail)


cdef void queue_move(Keyspace* keyspace, const Order* order, const Tail* tail, uint32_t queue, uint32_t uses,
                     bint anew) noexcept nogil:
    cdef Partition* partition = tail.partition
    cdef Entry* entry = <Entry*> arena_at(&partition.arena, tail.handle)
    cdef uint32_t place = queue_access(keyspace, queue) if anew else queue << QUEUE_SHIFT | entry.access & PLACE_MASK
    cdef Order moved = order[0]
    invariant(entry.access >> QUEUE_SHIFT == tail.list)
    lru_remove(&partition.lists[tail.list], &partition.arena, tail.handle)
    add_relaxed_u64(&keyspace.pool.queued[tail.list], <uint64_t> -1)
    entry.access = place | uses << USES_SHIFT
    lru_push(&partition.lists[queue], &partition.arena, tail.handle)
    add_relaxed_u64(&keyspace.pool.queued[queue], 1)
    if not anew:
        moved.row = queue
        moved.lists = <uint32_t> 1 << queue
        tails_publish(keyspace, &moved, tail.shard)


cdef uint64_t queue_hash(const Keyspace* keyspace, const Tail* tail) noexcept nogil:
    cdef Bytes name = entry_key(<const Entry*> arena_at(&tail.partition.arena, tail.handle))
    cdef Key key = keyspace_key(keyspace, name.data, name.size)
    return key_hash(&key)
