# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Runs a long command: see helper.pxd."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from kvcy.commands.call cimport deferred_free
from kvcy.commands.executor cimport executor_call_done, executor_call_init, executor_reply_done, executor_run
from kvcy.commands.executors cimport executor_free, executor_new
from kvcy.commands.helping cimport session_state_after
from kvcy.commands.shown cimport session_become
from kvcy.commands.types cimport (
    SESSION_CLOSING, SESSION_OPEN, SESSION_REPLY_OFF, SESSION_REPLY_SKIP, Call)
from kvcy.engine.clock cimport pause_ns
from kvcy.engine.platform cimport add_relaxed_u32
from kvcy.protocol.writer cimport writer_clear, writer_close, writer_init

cdef enum:
    GRACE_US = 100


cdef void run_deferred(Session* session, Executor* executor) noexcept nogil:
    cdef timespec now
    cdef Call call
    pause_ns(GRACE_US * 1000)
    clock_gettime(CLOCK_REALTIME, &now)
    executor.now_us = <int64_t> now.tv_sec * 1000000 + now.tv_nsec // 1000
    executor.now_ms = executor.now_us // 1000
    executor_call_init(&call, executor, session)
    call.row = session.deferred.row
    call.argv = session.deferred.argv
    call.argc = session.deferred.argc
    executor_run(&call)
    executor_call_done(&call)
    if session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
        writer_clear(&executor.reply)


cdef Helped* helper_run(Session* session, Keyspace* keyspace, Service* service) noexcept nogil:
    cdef Helped* helped = <Helped*> malloc(sizeof(Helped))
    cdef Executor* executor = executor_new(keyspace, service) if helped != NULL else NULL
    session_become(session, SESSION_CLOSING)
    if executor != NULL:
        session_become(session, SESSION_OPEN)
        add_relaxed_u32(&keyspace.long_commands, 1)
        run_deferred(session, executor)
        add_relaxed_u32(&keyspace.long_commands, <uint32_t> -1)
        executor_reply_done(session)
        if session.state == SESSION_OPEN:
            session_become(session, session_state_after(session))
        if executor.reply.failed:
            session_become(session, SESSION_CLOSING)
        helped.reply = executor.reply
        helped.gate = executor.gate
        writer_init(&executor.reply)
        executor_free(executor)
    else:
        free(helped)
        helped = NULL
    deferred_free(session.deferred)
    session.deferred = NULL
    return helped


cdef void helped_hand_over(Helped* helped, Executor* executor) noexcept nogil:
    writer_close(&executor.reply)
    executor.reply = helped.reply
    executor.gate = helped.gate
    free(helped)


cdef void helped_free(Helped* helped) noexcept nogil:
    if helped != NULL:
        writer_close(&helped.reply)
        free(helped)
