# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""MULTI, EXEC, DISCARD, WATCH, UNWATCH.

EXEC locks the shards of all its keys and of all watched keys, exclusively and in rising order, looks whether a watched
key has changed or expired, runs everything, and unlocks: one step for every observer. A command for the whole keyspace
in the queue locks all shards.

PYTHON rows in the queue cannot run under shard locks: Python might wait for the lock of the thread that waits for
Python. So they are answered first, one after another: session.deferred is the next of them and the session stays parked
until the last answer is there (exec_answer). Then the rest runs, on a helper if it is long (helping.pxd), and the
answers take their places in the reply.
Limits: such a command does not see what the transaction's own data commands do, and if a watched key changes while
Python works, EXEC answers null although Python's commands have had their effect.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc
from kvcy.commands.call cimport call_keep, reply_out_of_memory
from kvcy.commands.cycles cimport cycles
from kvcy.commands.executor cimport executor_call_done, executor_call_init, executor_run
from kvcy.commands.helping cimport helping_ends_long
from kvcy.commands.locking cimport command_lock, command_shards, command_unlock
from kvcy.commands.queueing cimport transaction_begin, transaction_discard, transaction_unwatch
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.commands.shown cimport session_become
from kvcy.commands.types cimport (
    PYTHON, SESSION_MULTI, SESSION_MULTI_FAILED, SESSION_OPEN, SESSION_PARKED, SESSION_REPLY_OFF, SESSION_REPLY_SKIP,
    Call, Deferred, Executor, Session, Transaction,
)
from kvcy.engine.block cimport Block, block_retain
from kvcy.engine.shards cimport Keyspace, ShardSet, shard_lock, shard_unlock, shards_clear
from kvcy.engine.platform cimport add_own_u64, load_relaxed_u32
from kvcy.engine.watch cimport watch_add, watch_broken, watch_shards
from kvcy.protocol.writer cimport (
    WriterPosition, write_array, write_error, write_null_array, write_ok, write_raw_whole, writer_position,
    writer_rewind,
)

ROWS = (
    Row("multi", arity=1, flags="noscript loading stale fast allow_busy unqueued", group="transactions", since="1.2.0",
        complexity="O(1)", summary="Begins a transaction: the commands that follow are queued until EXEC."),
    Row("exec", arity=1, flags="noscript loading stale skip_slowlog unqueued self_locking", group="transactions",
        since="1.2.0", complexity="The sum of what the queued commands cost.",
        summary="Runs all queued commands as one atomic step."),
    Row("discard", arity=1, flags="noscript loading stale fast allow_busy unqueued", group="transactions",
        since="2.0.0", complexity="O(N) with N the number of queued commands.",
        summary="Drops the queued commands and all watches."),
    Row("watch", arity=-2, flags="noscript loading stale fast allow_busy unqueued self_locking", keys=(1, -1, 1),
        group="transactions", since="2.2.0", complexity="O(1) a key.", key_flags="RO",
        summary="Makes the next EXEC run only if none of the keys has changed by then.", syntax="key [key ...]"),
    Row("unwatch", arity=1, flags="noscript loading stale fast allow_busy", group="transactions", since="2.2.0",
        complexity="O(1) a watched key.", summary="Ends all watches of the connection."),
)


cdef void multi_command(Call* call) noexcept nogil:
    if call.session.flags & SESSION_MULTI:
        write_error(call.reply, b"ERR MULTI calls can not be nested")
    elif transaction_begin(call.session):
        write_ok(call.reply)
    else:
        reply_out_of_memory(call)


cdef void discard_command(Call* call) noexcept nogil:
    if call.session.flags & SESSION_MULTI == 0:
        write_error(call.reply, b"ERR DISCARD without MULTI")
        return
    transaction_discard(call.session, call.access.keyspace)
    write_ok(call.reply)


cdef void watch_command(Call* call) noexcept nogil:
    cdef Keyspace* keyspace = call.access.keyspace
    cdef uint32_t index
    cdef bint added = True
    if call.session.flags & SESSION_MULTI:
        write_error(call.reply, b"ERR WATCH inside MULTI is not allowed")
        return
    call.access.exclusive = True
    for index in range(call.key_count):
        # Nothing more can be lost once a watched key has changed.
        if load_relaxed_u32(&call.session.watcher.dirty):
            break
        shard_lock(keyspace, call.keys[index].shard, True)
        added = added and watch_add(&call.access, &call.session.watcher, &call.keys[index])
        shard_unlock(keyspace, call.keys[index].shard, True)
    if added:
        write_ok(call.reply)
    else:
        reply_out_of_memory(call)


cdef void unwatch_command(Call* call) noexcept nogil:
    # Inside EXEC the shards are locked; EXEC ends all watches anyway.
    if call.held == NULL:
        transaction_unwatch(call.session, call.access.keyspace)
    write_ok(call.reply)


cdef void exec_command(Call* call) noexcept nogil:
    cdef Session* session = call.session
    cdef Transaction* transaction = session.transaction
    if session.flags & SESSION_MULTI == 0:
        write_error(call.reply, b"ERR EXEC without MULTI")
    elif session.flags & SESSION_MULTI_FAILED:
        transaction_discard(session, call.access.keyspace)
        write_error(call.reply, b"EXECABORT Transaction discarded because of previous errors.")
    elif load_relaxed_u32(&session.watcher.dirty):
        transaction_discard(session, call.access.keyspace)
        write_null_array(call.reply)
    elif transaction.answered == transaction.python_count:
        exec_queue(call)
    else:
        transaction.answers = <Block**> calloc(transaction.python_count, sizeof(Block*))
        transaction.ending = call_keep(call)
        if transaction.answers == NULL or transaction.ending == NULL:
            transaction_discard(session, call.access.keyspace)
            reply_out_of_memory(call)
        else:
            await_answer(session)
            session_become(session, SESSION_PARKED)


cdef bint await_answer(Session* session) noexcept nogil:
    """Makes the next PYTHON command the one that waits. False: there is none left."""
    cdef Transaction* transaction = session.transaction
    session.deferred = NULL
    if transaction.answered == transaction.python_count:
        return False
    session.deferred = transaction.queue[transaction.python[transaction.answered]]
    session.deferred.began = cycles()
    return True


cdef bint exec_is_waiting(const Session* session) noexcept nogil:
    cdef const Transaction* transaction = session.transaction
    return transaction != NULL and transaction.answers != NULL and transaction.answered < transaction.python_count


cdef void exec_answer(Session* session, Executor* executor, Block* reply) noexcept nogil:
    cdef Transaction* transaction = session.transaction
    cdef Call call
    cdef WriterPosition position
    if reply != NULL:
        block_retain(reply)
    transaction.answers[transaction.answered] = reply
    transaction.answered += 1
    add_own_u64(&executor.stats[session.deferred.row.number].calls, 1)
    if await_answer(session):
        return
    if executor.serves_others and helping_ends_long(session):
        session.deferred = transaction.ending
        transaction.ending = NULL
        add_own_u64(&executor.stats[session.deferred.row.number].calls, <uint64_t> -1)       # the helper counts it
        return
    position = writer_position(&executor.reply)
    session_become(session, SESSION_OPEN)
    executor_call_init(&call, executor, session)
    exec_queue(&call)
    executor_call_done(&call)
    if session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
        writer_rewind(&executor.reply, position)


cdef bint queue_shards(Call* call, ShardSet* shards) noexcept nogil:
    """Collects what the transaction has to lock. False: no memory."""
    cdef Transaction* transaction = call.session.transaction
    cdef Deferred* command
    cdef uint32_t index
    shards_clear(shards)
    watch_shards(&call.session.watcher, shards)
    for index in range(transaction.count):
        command = transaction.queue[index]
        if command.row.flags & PYTHON == 0:
            if not command_shards(call.executor, command.row, command.argv, command.argc, shards):
                return False
    return True


cdef void exec_queue(Call* call) noexcept nogil:
    """Locks, looks at the watches, runs the queue, unlocks, ends the transaction."""
    cdef Session* session = call.session
    cdef Keyspace* keyspace = call.access.keyspace
    cdef ShardSet shards
    cdef bint broken
    if not queue_shards(call, &shards):
        transaction_discard(session, keyspace)
        reply_out_of_memory(call)
        return
    command_lock(call, &shards)
    broken = watch_broken(&call.access, &session.watcher)
    if not broken:
        run_queue(call, &shards)
    command_unlock(call, &shards)
    transaction_discard(session, keyspace)
    if broken:
        write_null_array(call.reply)


cdef void run_queue(Call* call, const ShardSet* shards) noexcept nogil:
    """Runs every command under the locks; answers that Python gave take their places."""
    cdef Transaction* transaction = call.session.transaction
    cdef Call inner = call[0]
    cdef Deferred* command
    cdef Block* answer
    cdef WriterPosition position
    cdef uint32_t index, answered = 0
    inner.held = shards
    write_array(call.reply, transaction.count)
    for index in range(transaction.count):
        command = transaction.queue[index]
        position = writer_position(call.reply)
        if command.row.flags & PYTHON:
            answer = transaction.answers[answered]
            answered += 1
            if answer != NULL:
                write_raw_whole(call.reply, answer)
            else:
                reply_out_of_memory(call)
        else:
            inner.row = command.row
            inner.argv = command.argv
            inner.argc = command.argc
            executor_run(&inner)
        if call.session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
            writer_rewind(call.reply, position)
    call.access.hits = inner.access.hits
    call.access.misses = inner.access.misses
    add_own_u64(&call.executor.commands, transaction.count)


bind("multi", multi_command)
bind("exec", exec_command)
bind("discard", discard_command)
bind("watch", watch_command)
bind("unwatch", unwatch_command)
