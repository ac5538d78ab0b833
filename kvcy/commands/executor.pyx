# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The executor: the hot path from received bytes to written replies.

    executor_feed      loop: parse a batch, prefetch, run it; executor_feed_ahead: the first batches of several
                     sessions are parsed and prefetched together
      batch_parse        up to BATCH_MAX commands into Executor.batch, rows found, single keys hashed
      batch_prefetch     home slots of all keys, then the entries they name: the misses of memory overlap
      run_batch          each command in order
        execute            ordinary? else admission_check (admission.pyx): refused, queued, parked, or run after all
          run_one_key        one shard locked, shared or exclusive, handler, unlocked
          helping_park       a long command, for another thread
          executor_run       no key, several keys, all shards, or inside EXEC, whose shards are locked already

Limits: after REPLY_BYTES_SOFT of replies a feed ends as if its budget were used, so that a client that does not read
cannot make a reactor's buffer grow without end.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from kvcy.commands.accounting cimport account_error, account_time
from kvcy.commands.admission cimport admission_authenticated, admission_check, admission_stops_writes
from kvcy.commands.batch cimport batch_parse, batch_prefetch, batch_prepare_alone
from kvcy.commands.call cimport deferred_adopt, deferred_free, reply_out_of_memory
from kvcy.commands.cycles cimport cycles
from kvcy.commands.helping cimport (
    helping_forbids, helping_park, helping_wanted, postponed_add, postponed_begin, postponed_free)
from kvcy.commands.locking cimport command_keys, command_run_locked, command_settle
from kvcy.commands.shown cimport session_become, session_lower, session_raise, session_ran
from kvcy.commands.types cimport (
    ALL_SHARDS, BATCH_MAX, DENYOOM, ONE_KEY, PYTHON, SAMPLED, SELF_LOCKING, SESSION_AUTHENTICATED, SESSION_CLOSING,
    SESSION_CONTINUING, SESSION_NO_TOUCH, SESSION_OPEN, SESSION_PARKED, SESSION_REPLY_OFF, SESSION_REPLY_SKIP,
    SESSION_REPLY_SKIP_NEXT, WRITE, Ahead, Call, Executor, Postponed, Prepared, Row, RowStats, Session,
)
from kvcy.commands.yielding cimport executor_shard_lock, long_commands_run
from kvcy.engine.block cimport Bytes
from kvcy.engine.log cimport log_appended
from kvcy.engine.shards cimport Key, keyspace_key, shard_unlock
from kvcy.engine.platform cimport (
    add_own_u64, add_relaxed_u64, likely, load_relaxed_i64, load_relaxed_u32, load_relaxed_u64, store_relaxed_i64,
    unlikely,
)
from kvcy.protocol.gathered cimport Gathered, gathered_release
from kvcy.protocol.parser cimport (
    PARSE_COMMAND, PARSE_NO_MEMORY, PARSE_WHOLE, ParseResult, arguments_clear, parser_take)
from kvcy.protocol.writer cimport (
    Writer, WriterPosition, write_error, write_error_part, writer_position, writer_rewind,
)

cdef enum:
    PREFETCH_MIN = 4                     # a shorter batch is run straight away
    SAMPLE_MASK = 15                     # one call in 16 of a single-key row is timed
    SAMPLED_US_MIN = 1000                # a slow-log threshold below this times every call
    KEYS_KEPT_MAX = 16384                # a larger array of keys is given back after the turn
    REPLY_BYTES_SOFT = 1048576
    REPLY_MODES = 8 | 16 | 32            # SESSION_REPLY_OFF | _SKIP | _SKIP_NEXT


cdef void executor_call_init(Call* call, Executor* executor, Session* session) noexcept nogil:
    call.access.keyspace = executor.keyspace
    call.access.now_ms = executor.now_ms
    call.access.database = session.database
    call.access.exclusive = False
    call.access.group = NULL
    call.access.no_touch = session.flags & SESSION_NO_TOUCH != 0
    call.access.keeps_touches = executor.serves_others
    call.access.expired_seen = 0
    call.access.hits = 0
    call.access.misses = 0
    call.session = session
    call.executor = executor
    call.reply = &executor.reply
    call.reply.resp3 = session.protocol == 3
    call.row = NULL
    call.argv = NULL
    call.argc = 0
    call.keys = NULL
    call.key_count = 0
    call.held = NULL
    call.postponed = False
    call.whole = NULL


cdef void executor_call_done(Call* call) noexcept nogil:
    if call.access.hits:
        add_relaxed_u64(&call.access.keyspace.keyspace_hits, call.access.hits)
        call.access.hits = 0
    if call.access.misses:
        add_relaxed_u64(&call.access.keyspace.keyspace_misses, call.access.misses)
        call.access.misses = 0


# --- running

cdef void executor_run(Call* call) noexcept nogil:
    cdef RowStats* stats = &call.executor.stats[call.row.number]
    cdef size_t start = call.reply.size
    cdef bint timed = call.row.flags & SAMPLED == 0 or stats.calls & SAMPLE_MASK == 0 or call.executor.time_all
    cdef uint64_t began = cycles() if timed else 0
    add_own_u64(&stats.calls, 1)
    call.access.database = call.session.database
    call.access.exclusive = call.held != NULL or call.row.flags & WRITE != 0
    session_ran(call.session, call.row)
    call.keys = NULL
    call.key_count = 0
    if call.row.first_key:
        call.keys = command_keys(call.executor, call.row, call.argv, call.argc, &call.key_count)
        if call.keys == NULL:
            reply_out_of_memory(call)
            return
    command_run_locked(call)
    if unlikely(call.postponed):
        add_own_u64(&stats.calls, <uint64_t> -1)
        return
    if call.reply.size > start and call.reply.data[start] == c'-':
        account_error(call, call.reply.data + start, call.reply.size - start)
    if timed:
        account_time(call, began)


cdef inline bint run_one_key(Call* call, const Key* key) noexcept nogil:
    """The common case: one key, its shard locked here. False: that has to wait."""
    cdef Executor* executor = call.executor
    cdef RowStats* stats = &executor.stats[call.row.number]
    cdef size_t start = executor.reply.size
    cdef bint exclusive = call.row.flags & WRITE != 0
    cdef bint timed = stats.calls & SAMPLE_MASK == 0 or executor.time_all
    cdef uint64_t began = cycles() if timed else 0
    if unlikely(not executor_shard_lock(executor, key.shard, exclusive)):
        return False
    add_own_u64(&stats.calls, 1)
    call.keys = <Key*> key
    call.key_count = 1
    call.access.exclusive = exclusive
    call.row.handler(call)
    executor.gate = max(executor.gate, executor.keyspace.shards[key.shard].position)
    shard_unlock(executor.keyspace, key.shard, exclusive)
    if unlikely(call.access.expired_seen):
        command_settle(call)
    if unlikely(executor.reply.size > start and executor.reply.data[start] == c'-'):
        account_error(call, executor.reply.data + start, executor.reply.size - start)
    if timed:
        account_time(call, began)
    return True


# --- one command

cdef void executor_reply_done(Session* session) noexcept nogil:
    session_lower(session, SESSION_REPLY_SKIP)
    if session.flags & SESSION_REPLY_SKIP_NEXT:
        session_lower(session, SESSION_REPLY_SKIP_NEXT)
        session_raise(session, SESSION_REPLY_SKIP)


cdef inline bint ordinary(Call* call) noexcept nogil:
    """Whether none of the admission's cases can apply."""
    cdef const Row* row = call.row
    if unlikely(row == NULL):
        return False
    if unlikely((row.arity > 0 and <int> call.argc != row.arity) or <int> call.argc < -row.arity):
        return False
    if unlikely(call.session.flags & call.executor.ordinary_mask != SESSION_AUTHENTICATED):
        return False
    if unlikely(row.flags & WRITE and admission_stops_writes(call)):
        return False
    if row.flags & DENYOOM and load_relaxed_u64(&call.access.keyspace.memory_bytes_max) != 0:
        return False
    return row.flags & PYTHON == 0


cdef inline void execute(Call* call, const Prepared* prepared) noexcept nogil:
    """Takes a command from the checks to its reply."""
    cdef Session* session = call.session
    cdef Writer* reply = call.reply
    cdef WriterPosition position
    position.size = reply.size
    position.mark_count = reply.mark_count
    position.marked_bytes = reply.marked_bytes
    if unlikely(long_commands_run(call.executor)) and helping_forbids(call):
        call.postponed = True
        return
    if likely(ordinary(call)) or admission_check(call):
        if call.row.flags & ONE_KEY and call.row.flags & (SELF_LOCKING | ALL_SHARDS) == 0:
            call.access.database = session.database
            session_ran(session, call.row)
            call.postponed = not run_one_key(call, &prepared.key)
        elif unlikely(helping_wanted(call)):
            helping_park(call)
        else:
            executor_run(call)
    if unlikely(call.postponed):
        return
    if unlikely(session.flags & REPLY_MODES) and session.state in (SESSION_OPEN, SESSION_CLOSING):
        if session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
            writer_rewind(reply, position)
        executor_reply_done(session)


# --- batches

cdef void keep_rest(Call* call, const Prepared* batch, uint32_t at, uint32_t count) noexcept nogil:
    """Keeps for later turns what the command at `at` is in front of, and itself if it is postponed; without memory for
    that the session ends."""
    cdef uint32_t first = at if call.postponed else at + 1
    cdef uint32_t index
    cdef bint kept
    if call.postponed:
        session_become(call.session, SESSION_CONTINUING)
    call.postponed = False
    if first == count or call.session.state == SESSION_CLOSING:
        return
    kept = postponed_begin(call.session, count - first)
    for index in range(first, count):
        call.row = batch[index].row
        call.argv = call.executor.arguments.at + batch[index].first
        call.argc = batch[index].argc
        kept = kept and postponed_add(call.session, call)
    if not kept:
        session_become(call.session, SESSION_CLOSING)


cdef void executor_try_again(Executor* executor, Session* session) noexcept nogil:
    cdef Postponed* postponed = session.postponed
    cdef Prepared prepared
    cdef Call call
    executor_call_init(&call, executor, session)
    session_become(session, SESSION_OPEN)
    while postponed.done < postponed.count and session.state == SESSION_OPEN:
        call.row = postponed.commands[postponed.done].row
        call.argv = postponed.commands[postponed.done].argv
        call.argc = postponed.commands[postponed.done].argc
        if call.row != NULL and call.row.flags & ONE_KEY and <int> call.argc > call.row.first_key:
            prepared.key = keyspace_key(executor.keyspace, call.argv[call.row.first_key].data,
                                        call.argv[call.row.first_key].size)
        call.whole = postponed.commands[postponed.done]
        execute(&call, &prepared)
        if call.postponed:
            session_become(session, SESSION_CONTINUING)
            executor_call_done(&call)
            return
        deferred_free(call.whole)                # if it has not changed hands
        postponed.done += 1
    executor_call_done(&call)
    if postponed.done == postponed.count or session.state != SESSION_PARKED:
        postponed_free(session)


cdef void run_batch(Call* call, const Prepared* batch, uint32_t count) noexcept nogil:
    cdef Executor* executor = call.executor
    cdef const Prepared* prepared
    cdef uint32_t index
    for index in range(count):
        prepared = &batch[index]
        call.row = prepared.row
        call.argv = executor.arguments.at + prepared.first
        call.argc = prepared.argc
        execute(call, prepared)
        if unlikely(call.postponed or call.session.state != SESSION_OPEN):
            keep_rest(call, batch, index, count)
            break
    add_own_u64(&executor.commands, count)
    call.session.commands += count
    executor.budget -= count
    if executor.ahead_count == 0:
        arguments_clear(&executor.arguments)


cdef void end_with_error(Call* call, ParseResult result) noexcept nogil:
    """Answers what the parser found wrong; the connection closes behind it."""
    cdef char[128] text
    cdef size_t size = 4
    cdef const char* error = call.session.parser.error
    session_become(call.session, SESSION_CLOSING)
    if call.session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
        return
    if result == PARSE_NO_MEMORY:
        write_error(call.reply, b"OOM out of memory while reading a command")
        return
    text[0] = c'E'
    text[1] = c'R'
    text[2] = c'R'
    text[3] = c' '
    while error[size - 4] != 0 and size < sizeof(text):
        text[size] = error[size - 4]
        size += 1
    write_error_part(call.reply, text, size)


cdef inline void parser_limits(Executor* executor, Session* session) noexcept nogil:
    """What the parser may take of this session: a command may have changed it."""
    session.parser.bulk_bytes_max = load_relaxed_u64(&executor.service.bulk_bytes_max)
    session.parser.authenticated = admission_authenticated(session, executor.service)


cdef void run_whole(Call* call) noexcept nogil:
    """Runs the command that waits to be taken from the parser."""
    cdef Executor* executor = call.executor
    cdef Prepared prepared
    cdef Gathered gathered
    parser_take(&call.session.parser, &gathered)
    call.whole = deferred_adopt(&gathered)
    if call.whole == NULL:
        gathered_release(&gathered)
        end_with_error(call, PARSE_NO_MEMORY)
        return
    call.argv = call.whole.argv
    call.argc = call.whole.argc
    batch_prepare_alone(executor, &prepared, call.argv, call.argc)
    call.row = prepared.row
    execute(call, &prepared)
    if call.postponed:
        call.postponed = False
        session_become(call.session, SESSION_CONTINUING)
        if not postponed_begin(call.session, 1) or not postponed_add(call.session, call):
            session_become(call.session, SESSION_CLOSING)
    deferred_free(call.whole)                    # if it has not changed hands
    call.whole = NULL
    add_own_u64(&executor.commands, 1)
    call.session.commands += 1
    executor.budget -= executor.budget != 0


cdef inline ParseResult run_parsed(Call* call, const Prepared* batch, uint32_t count,
                                   ParseResult result) noexcept nogil:
    """Runs a batch, and what the parser said behind it. PARSE_COMMAND: there may be more."""
    cdef Session* session = call.session
    if unlikely(load_relaxed_u32(&session.killed)):
        session_become(session, SESSION_CLOSING)
        return result
    if count:
        run_batch(call, batch, count)
    if unlikely(result > PARSE_COMMAND) and session.state == SESSION_OPEN:
        if result == PARSE_WHOLE:
            run_whole(call)
            result = PARSE_COMMAND
        else:
            end_with_error(call, result)
    if unlikely(call.reply.failed):
        session_become(session, SESSION_CLOSING)
    if unlikely(call.reply.size > REPLY_BYTES_SOFT):
        call.executor.budget = 0
    return result


cdef size_t feed_on(Call* call, const char* data, size_t size, size_t offset, ParseResult result) noexcept nogil:
    """Goes on at `offset`, if the parser's last word was PARSE_COMMAND; ends the feed."""
    cdef Executor* executor = call.executor
    cdef Session* session = call.session
    cdef const Prepared* batch = executor.batch + executor.ahead_count
    cdef uint32_t count
    while result == PARSE_COMMAND and session.state == SESSION_OPEN and executor.budget != 0:
        parser_limits(executor, session)
        count = batch_parse(executor, session, data, size, &offset, min(executor.budget, <uint32_t> BATCH_MAX),
                            &result)
        if count >= PREFETCH_MIN:
            batch_prefetch(executor, session, batch, count, False)
            batch_prefetch(executor, session, batch, count, True)
        result = run_parsed(call, batch, count, result)
    executor_call_done(call)
    if unlikely(executor.key_capacity > KEYS_KEPT_MAX):
        free(executor.keys)
        executor.keys = NULL
        executor.key_capacity = 0
    return size if session.state == SESSION_CLOSING else offset


cdef inline void feed_begin(Call* call, Executor* executor, Session* session) noexcept nogil:
    executor_call_init(call, executor, session)
    # One comparison for 0 <= slow_us < SAMPLED_US_MIN: as an unsigned number, off is huge.
    executor.time_all = <uint64_t> load_relaxed_i64(&executor.service.slow_us) < SAMPLED_US_MIN
    store_relaxed_i64(&session.last_ms, executor.now_ms)


cdef size_t executor_feed(Executor* executor, Session* session, const char* data, size_t size) noexcept nogil:
    cdef Call call
    feed_begin(&call, executor, session)
    return feed_on(&call, data, size, 0, PARSE_COMMAND)


# --- several sessions

cdef void executor_parse_ahead(Executor* executor, Session* session, const char* data, size_t size,
                               Ahead* ahead) noexcept nogil:
    ahead.offset = 0
    ahead.first = executor.ahead_count
    parser_limits(executor, session)
    ahead.count = batch_parse(executor, session, data, size, &ahead.offset,
                              BATCH_MAX, &ahead.result)
    executor.ahead_count += ahead.count


cdef void executor_prefetch(Executor* executor, const Session* session, const Ahead* ahead,
                            bint entries) noexcept nogil:
    if executor.ahead_count >= PREFETCH_MIN:
        batch_prefetch(executor, session, executor.batch + ahead.first, ahead.count, entries)


cdef size_t executor_feed_ahead(Executor* executor, Session* session, const char* data, size_t size,
                                Ahead* ahead) noexcept nogil:
    cdef Call call
    feed_begin(&call, executor, session)
    return feed_on(&call, data, size, ahead.offset,
                   run_parsed(&call, executor.batch + ahead.first, ahead.count, ahead.result))


cdef void executor_ahead_done(Executor* executor) noexcept nogil:
    executor.ahead_count = 0
    arguments_clear(&executor.arguments)


# --- single commands

cdef void executor_command(Executor* executor, Session* session, Bytes* argv, uint32_t argc) noexcept nogil:
    cdef Call call
    cdef Prepared prepared
    executor_call_init(&call, executor, session)
    batch_prepare_alone(executor, &prepared, argv, argc)
    call.row = prepared.row
    call.argv = argv
    call.argc = argc
    store_relaxed_i64(&session.last_ms, executor.now_ms)
    execute(&call, &prepared)
    add_own_u64(&executor.commands, 1)
    session.commands += 1
    executor_call_done(&call)


cdef void executor_continue(Executor* executor, Session* session) noexcept nogil:
    cdef Call call
    cdef WriterPosition position = writer_position(&executor.reply)
    executor_call_init(&call, executor, session)
    call.row = session.continuation.row
    if session.continuation.step(&call, session.continuation.state):
        if executor.keyspace.log != NULL:
            executor.gate = log_appended(executor.keyspace.log)      # it has seen who knows what
        session.continuation.discard(session.continuation.state)
        session.continuation.step = NULL
        session.continuation.state = NULL
        session_become(session, SESSION_OPEN)
        if session.flags & REPLY_MODES:
            if session.flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP):
                writer_rewind(&executor.reply, position)
            executor_reply_done(session)
    executor_call_done(&call)
