# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Long commands on other threads: see helping.pxd."""
from libc.stdlib cimport calloc, free
from libc.string cimport strcmp
from kvcy.commands.call cimport call_keep, deferred_free, reply_out_of_memory
from kvcy.commands.shown cimport session_become
from kvcy.commands.types cimport (
    ALL_SHARDS, DENYOOM, PYTHON, SELF_LOCKING, SESSION_CONTINUING, SESSION_OPEN, SESSION_PARKED, UNQUEUED, Row,
    Transaction)
from kvcy.engine.platform cimport load_relaxed_u64


cdef uint32_t helping_keys(const Call* call) noexcept nogil:
    cdef const Row* row = call.row
    cdef int last = row.last_key if row.last_key >= 0 else <int> call.argc + row.last_key
    return <uint32_t> ((last - row.first_key) // row.key_step + 1) if row.first_key else 0


cdef bint helping_wanted(const Call* call) noexcept nogil:
    cdef const Transaction* transaction = call.session.transaction
    if not call.executor.serves_others:
        return False
    if call.row.first_key:
        return call.argc > LONG_WEIGHT_MIN and helping_keys(call) >= LONG_WEIGHT_MIN
    # What may end a transaction or watches is left: EXEC, DISCARD, RESET, QUIT; UNWATCH.
    if call.row.flags & UNQUEUED == 0 and strcmp(call.row.name, b"unwatch") != 0:
        return False
    if transaction != NULL and transaction.python_count and strcmp(call.row.name, b"exec") == 0:
        return False                         # Python answers its part first: transactions.pyx
    return helping_ends_long(call.session)


cdef bint helping_ends_long(const Session* session) noexcept nogil:
    return (session.watcher.count >= LONG_WEIGHT_MIN
            or (session.transaction != NULL and session.transaction.weight >= LONG_WEIGHT_MIN))


cdef void helping_park(Call* call) noexcept nogil:
    call.session.deferred = call_keep(call)
    if call.session.deferred == NULL:
        reply_out_of_memory(call)
    else:
        session_become(call.session, SESSION_PARKED)


cdef bint helping_is_awaited(const Session* session) noexcept nogil:
    return session.deferred != NULL and session.deferred.row.flags & PYTHON == 0


# --- what is in the way of a long command

cdef bint helping_forbids(const Call* call) noexcept nogil:
    if call.row == NULL:
        return False
    # Ending a watch locks the key's shard; whatever may add something may have to evict.
    return (call.row.flags & (SELF_LOCKING | ALL_SHARDS) != 0 or call.session.watcher.watches != NULL
            or (call.row.flags & DENYOOM != 0 and load_relaxed_u64(&call.access.keyspace.memory_bytes_max) != 0))


cdef bint postponed_begin(Session* session, uint32_t count) noexcept nogil:
    cdef Postponed* made = <Postponed*> calloc(1, sizeof(Postponed) + count * sizeof(Deferred*))
    if made != NULL:
        made.commands = <Deferred**> (made + 1)
        session.postponed = made
    return made != NULL


cdef bint postponed_add(Session* session, Call* call) noexcept nogil:
    cdef Deferred* command = call_keep(call)
    if command == NULL:
        return False
    session.postponed.commands[session.postponed.count] = command
    session.postponed.count += 1
    return True


cdef uint32_t session_state_after(const Session* session) noexcept nogil:
    return SESSION_OPEN if session.postponed == NULL else SESSION_CONTINUING


cdef void postponed_free(Session* session) noexcept nogil:
    cdef Postponed* postponed = session.postponed
    session.postponed = NULL
    if postponed != NULL:
        while postponed.done < postponed.count:
            deferred_free(postponed.commands[postponed.done])
            postponed.done += 1
        free(postponed)
