# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What MULTI keeps: the queue of a session's transaction, and its end.

A Transaction lives from MULTI to EXEC or DISCARD, so a session outside one carries a NULL pointer only. Queued commands
are kept by call_keep (call.pxd); their count and bytes are kept in the session too, where CLIENT LIST reads them.
"""
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc
from kvcy.commands.call cimport call_keep, deferred_free
from kvcy.commands.helping cimport LONG_WEIGHT_MIN, helping_keys
from kvcy.commands.shown cimport session_lower, session_raise
from kvcy.commands.types cimport (
    PYTHON, SELF_LOCKING, SESSION_MULTI, SESSION_MULTI_FAILED, Call, Deferred, Session, Transaction,
)
from kvcy.engine.block cimport block_release
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.platform cimport add_own_u64, store_relaxed_u32, store_relaxed_u64
from kvcy.engine.watch cimport watch_clear, watch_clear_some
from kvcy.protocol.gathered cimport gathered_shrink


cdef bint transaction_begin(Session* session) noexcept nogil:
    session.transaction = <Transaction*> calloc(1, sizeof(Transaction))
    if session.transaction == NULL:
        return False
    session_raise(session, SESSION_MULTI)
    return True


cdef bint python_reserve(Transaction* transaction) noexcept nogil:
    """Room for one more in transaction.python; false: no memory."""
    cdef uint32_t capacity = transaction.python_capacity * 2 if transaction.python_capacity else 8
    cdef uint32_t* grown
    if transaction.python_count < transaction.python_capacity:
        return True
    grown = <uint32_t*> realloc(transaction.python, capacity * sizeof(uint32_t))
    if grown == NULL:
        return False
    transaction.python = grown
    transaction.python_capacity = capacity
    return True


cdef bint transaction_queue(Call* call) noexcept nogil:
    cdef Session* session = call.session
    cdef Transaction* transaction = session.transaction
    cdef Deferred* command
    cdef Deferred** grown
    cdef uint32_t capacity
    if transaction.count == transaction.capacity:
        capacity = transaction.capacity * 2 if transaction.capacity else 8
        grown = <Deferred**> realloc(transaction.queue, capacity * sizeof(Deferred*))
        if grown == NULL:
            return False
        transaction.queue = grown
        transaction.capacity = capacity
    if call.row.flags & PYTHON and not python_reserve(transaction):
        return False
    command = call_keep(call)
    if command == NULL:
        return False
    if call.row.flags & PYTHON:
        transaction.python[transaction.python_count] = transaction.count
        transaction.python_count += 1
    transaction.queue[transaction.count] = command
    transaction.count += 1
    transaction.flags_or |= call.row.flags
    transaction.weight += LONG_WEIGHT_MIN if call.row.flags & SELF_LOCKING else max(helping_keys(call), <uint32_t> 1)
    store_relaxed_u32(&session.queue_count, transaction.count)
    add_own_u64(&session.queue_bytes, command.memory_bytes + sizeof(Deferred*))
    return True


cdef void transaction_flag(Session* session) noexcept nogil:
    if session.flags & SESSION_MULTI:
        session_raise(session, SESSION_MULTI_FAILED)


cdef void transaction_free(Transaction* transaction) noexcept nogil:
    cdef uint32_t index
    if transaction == NULL:
        return
    for index in range(transaction.answered):
        if transaction.answers[index] != NULL:
            block_release(transaction.answers[index])
    for index in range(transaction.count):
        deferred_free(transaction.queue[index])
    deferred_free(transaction.ending)
    free(transaction.answers)
    free(transaction.python)
    free(transaction.queue)
    free(transaction)


cdef bint transaction_shrink(Session* session, Keyspace* keyspace, uint32_t most) noexcept nogil:
    cdef Transaction* transaction = session.transaction
    cdef Deferred* command
    if transaction != NULL:
        while transaction.count and most:
            command = transaction.queue[transaction.count - 1]
            if not gathered_shrink(&command.gathered):
                return False
            most -= min(most, command.argc)
            transaction.count -= 1
            deferred_free(command)
        if transaction.count:
            return False
    return watch_clear_some(keyspace, &session.watcher, most)


cdef void transaction_unwatch(Session* session, Keyspace* keyspace) noexcept nogil:
    if session.watcher.watches != NULL:
        watch_clear(keyspace, &session.watcher)
    store_relaxed_u32(&session.watcher.dirty, 0)


cdef void transaction_discard(Session* session, Keyspace* keyspace) noexcept nogil:
    transaction_free(session.transaction)
    session.transaction = NULL
    store_relaxed_u32(&session.queue_count, 0)
    store_relaxed_u64(&session.queue_bytes, 0)
    session_lower(session, SESSION_MULTI | SESSION_MULTI_FAILED)
    transaction_unwatch(session, keyspace)
