# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A client's session: its life, and the calls its carrier makes. The work is done in executor.pyx.

Importing this module loads all command families.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free
from kvcy.commands.accounting cimport account_error, account_time
from kvcy.commands.call cimport deferred_free
from kvcy.commands.executor cimport (
    executor_call_init, executor_command, executor_continue, executor_feed, executor_reply_done, executor_try_again,
)
from kvcy.commands.helping cimport postponed_free, session_state_after
from kvcy.commands.queueing cimport transaction_discard
from kvcy.commands.shown cimport session_become
from kvcy.commands.transactions cimport exec_answer, exec_is_waiting
from kvcy.commands.types cimport (
    SESSION_AUTHENTICATED, SESSION_CLOSING, SESSION_CONTINUING, SESSION_OPEN, SESSION_PARKED, SESSION_REPLY_OFF,
    SESSION_REPLY_SKIP, Call, Executor, Service, Session,
)
from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.log cimport log_appended
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u32
from kvcy.protocol.parser cimport parser_close, parser_init
from kvcy.protocol.unfinished cimport parser_fill_room, parser_filled
from kvcy.protocol.writer cimport write_raw_whole

from kvcy.commands import registry

registry.load()


cdef Session* session_new(Service* service, int64_t now_ms) noexcept nogil:
    cdef Session* session = <Session*> calloc(1, sizeof(Session))
    if session == NULL:
        return NULL
    parser_init(&session.parser)
    session.id = add_relaxed_u64(&service.clients.next_id, 1)
    session.protocol = 2
    session.fd = -1
    session.created_ms = now_ms
    session.last_ms = now_ms
    if load_relaxed_u32(&service.password_required) == 0:
        session.flags = SESSION_AUTHENTICATED
    return session


cdef void session_free(Session* session, Keyspace* keyspace) noexcept nogil:
    if session.continuation.step != NULL:
        session.continuation.discard(session.continuation.state)
    postponed_free(session)
    if not exec_is_waiting(session):
        deferred_free(session.deferred)
    transaction_discard(session, keyspace)
    add_relaxed_u64(&keyspace.client_bytes, 0 - session.counted_bytes)
    parser_close(&session.parser)
    free(session.address)
    free(session.local_address)
    free(session.name)
    free(session.library_name)
    free(session.library_version)
    free(session)


cdef size_t session_feed(Session* session, Executor* executor, const char* data, size_t size) noexcept nogil:
    if session.state == SESSION_CONTINUING:
        if load_relaxed_u32(&session.killed):
            session_become(session, SESSION_CLOSING)
        elif session.postponed != NULL:
            executor_try_again(executor, session)
        else:
            executor_continue(executor, session)
    if session.state == SESSION_OPEN:
        return executor_feed(executor, session, data, size)
    return size if session.state == SESSION_CLOSING else 0


cdef char* session_fill_room(Session* session, size_t* room) noexcept nogil:
    if session.parser.filling == NULL or session.state != SESSION_OPEN:
        room[0] = 0
        return NULL
    cdef char* place = parser_fill_room(&session.parser, room)
    if place == NULL:
        room[0] = 1
    return place


cdef void session_filled(Session* session, size_t size) noexcept nogil:
    parser_filled(&session.parser, size)


cdef void account_answer(Session* session, Executor* executor, const Block* reply) noexcept nogil:
    """Counts the time of session.deferred, which Python has answered, and its failure."""
    cdef Call call
    executor_call_init(&call, executor, session)
    call.row = session.deferred.row
    call.argv = session.deferred.argv
    call.argc = session.deferred.argc
    if reply != NULL and reply.size and reply.data[0] == c'-':
        account_error(&call, reply.data, reply.size)
    account_time(&call, session.deferred.began)


cdef void session_resume(Session* session, Executor* executor, Block* reply) noexcept nogil:
    if session.deferred == NULL:
        return
    # What Python answers shows no key, and must be heard when the log is in trouble; what came before it in EXEC may.
    if executor.keyspace.log != NULL and exec_is_waiting(session):
        executor.gate = log_appended(executor.keyspace.log)
    account_answer(session, executor, reply)
    if exec_is_waiting(session):
        exec_answer(session, executor, reply)
        if session.state == SESSION_PARKED:
            return
    else:
        if reply != NULL and session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP) == 0:
            write_raw_whole(&executor.reply, reply)
        deferred_free(session.deferred)
        session.deferred = NULL
        session_become(session, session_state_after(session))
    executor_reply_done(session)
    if load_relaxed_u32(&session.killed) or executor.reply.failed:
        session_become(session, SESSION_CLOSING)


cdef bint session_execute(Session* session, Executor* executor, Bytes* argv, uint32_t argc) noexcept nogil:
    executor_command(executor, session, argv, argc)
    while session.state == SESSION_CONTINUING:
        executor_continue(executor, session)
    if session.state == SESSION_CLOSING:
        session_become(session, SESSION_OPEN)    # there is no connection that could end
    return session.state != SESSION_PARKED
