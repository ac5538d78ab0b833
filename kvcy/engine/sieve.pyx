# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""SIEVE: see sieve.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.platform cimport load_relaxed_u32, store_relaxed_u32
from kvcy.engine.queues cimport (
    USES_MAX, USES_SHIFT, queue_access, queue_count, queue_move, queue_oldest, queue_uses, queues_of)
from kvcy.engine.tails cimport Order, Tail, tails_done, tails_evict


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
    if queue_uses(&tail):
        queue_move(keyspace, &order, &tail, turn ^ 1, 0, False)
    else:
        tails_evict(keyspace, &order, &tail)
    tails_done(keyspace, &order, &tail)
    return True


sieve_kind.note = note
sieve_kind.queued = True
