# cython: language_level=3
"""The executor: takes commands through parsing, checks, locks, handler and accounting. One a thread."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Call, Executor, Prepared, Row, Service, Session
from kvcy.engine.block cimport Bytes
from kvcy.engine.shards cimport Keyspace, ShardSet

# Registered with the service until executor_free. NULL: no memory. REQUIRES: the registry is loaded.
cdef Executor* executor_new(Keyspace* keyspace, Service* service) noexcept nogil
cdef void executor_free(Executor* executor) noexcept nogil

# --- what session.pyx is made of
# Parses and runs batches until the bytes, the budget or the session's willingness end; see session_feed.
cdef size_t executor_feed(Executor* executor, Session* session, const char* data, size_t size) noexcept nogil
# Takes one command, argv and all, through the same checks; it is run, queued, parked or refused.
cdef void executor_command(Executor* executor, Session* session, Bytes* argv, uint32_t argc) noexcept nogil
# Runs the session's long command for one more slice; ends SESSION_CONTINUING when it is done.
cdef void executor_continue(Executor* executor, Session* session) noexcept nogil
# CLIENT REPLY's bookkeeping at the end of a command.
cdef void executor_reply_done(Session* session) noexcept nogil

# --- what EXEC is made of
cdef void executor_call_init(Call* call, Executor* executor, Session* session) noexcept nogil
# Adds the call's hits and misses to the keyspace's, and clears them.
cdef void executor_call_done(Call* call) noexcept nogil
# Runs call.row's handler: makes call.keys, locks (unless call.held), counts. REQUIRES: checked; not a PYTHON row.
cdef void executor_run(Call* call) noexcept nogil
# Adds the shards that the command's keys are in, or all of them if it concerns the whole keyspace. False: no memory.
cdef bint executor_shards(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc,
                          ShardSet* shards) noexcept nogil
