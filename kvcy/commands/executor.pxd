# cython: language_level=3
"""The executor: takes commands through parsing, checks, locks, handler and accounting. One a thread."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport AHEAD_ENOUGH, Ahead, Call, Executor, Session
from kvcy.engine.block cimport Bytes

# --- what session.pyx is made of
# Parses and runs batches until the bytes, the budget or the session's willingness end; see session_feed.
cdef size_t executor_feed(Executor* executor, Session* session, const char* data, size_t size) noexcept nogil
# The same in two steps, for sessions whose bytes have come together: parse a first batch of each, prefetch what all of
# them need, then run and feed each. executor_ahead_done ends it. The bytes must stay where they are until then.
# REQUIRES: executor_has_room; the session is OPEN.
cdef void executor_parse_ahead(Executor* executor, Session* session, const char* data, size_t size,
                               Ahead* ahead) noexcept nogil
cdef void executor_prefetch(Executor* executor, const Session* session, const Ahead* ahead,
                            bint entries) noexcept nogil      # their slots first, then the entries the slots name
cdef size_t executor_feed_ahead(Executor* executor, Session* session, const char* data, size_t size,
                                Ahead* ahead) noexcept nogil
cdef void executor_ahead_done(Executor* executor) noexcept nogil
# Takes one command, argv and all, through the same checks; it is run, queued, parked or refused.
cdef void executor_command(Executor* executor, Session* session, Bytes* argv, uint32_t argc) noexcept nogil
# Runs the session's long command for one more slice; ends SESSION_CONTINUING when it is done.
cdef void executor_continue(Executor* executor, Session* session) noexcept nogil
# Tries again to run what was postponed (helping.pxd). REQUIRES: session.postponed.
cdef void executor_try_again(Executor* executor, Session* session) noexcept nogil
# CLIENT REPLY's bookkeeping at the end of a command.
cdef void executor_reply_done(Session* session) noexcept nogil

# --- what EXEC is made of
cdef void executor_call_init(Call* call, Executor* executor, Session* session) noexcept nogil
# Adds the call's hits and misses to the keyspace's, and clears them.
cdef void executor_call_done(Call* call) noexcept nogil
# Runs call.row's handler: makes call.keys, locks (unless call.held), counts. REQUIRES: checked; not a PYTHON row.
cdef void executor_run(Call* call) noexcept nogil

cdef inline bint executor_has_room(const Executor* executor) noexcept nogil:
    """Whether another session's commands may be parsed ahead."""
    return executor.ahead_count < AHEAD_ENOUGH
