# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""SIEVE: see sieve.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.platform cimport load_relaxed_u32, store_relaxed_u32
from kvcy.engine.policy cimport policy_evict
from kvcy.engine.queues cimport (
    USES_MAX, USES_SHIFT, access_uses, queue_access, queue_count, queue_move, queue_oldest, queues_of)
from kvcy.engine.tails cimport Order, Tail, tails_done


cdef uint32_t note(const void* context, uint64_t hash, const uint32_t* access, int64_t now_ms) noexcept nogil:
    if access == NULL:
        return queue_access(<Keyspace*> context, load_relaxed_u32(&queues_of(context).turn))
    return load_relaxed_u32(access) | <uint32_t> USES_MAX << USES_SHIFT


cdef bint sieve_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint32_t turn = load_relaxed_u32(&queues_of(keyspace).turn)
    cdef Order order
    cdef Tail tail
    if queue_count(keyspace, turn) == 0:
        turn ^= 1
        store_relaxed_u32(&queues_of(keyspace).turn, turn)
    if not queue_oldest(keyspace, policy, turn, now_ms, &order, &tail):
        return False
    if access_uses((<const Entry*> arena_at(&tail.partition.arena, tail.handle)).access):
        queue_move(keyspace, &order, &tail, turn ^ 1, 0, False)
    else:
        policy_evict(keyspace, tail.shard, tail.database, tail.handle, now_ms)
    tails_done(keyspace, &order, &tail)
    return True


sieve_kind.note = note
sieve_kind.queued = True
