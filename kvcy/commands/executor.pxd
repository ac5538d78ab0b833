# cython: language_level=3
"""The executor: takes parsed commands through checks, locks, handler and accounting. One a thread."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Call, Executor, Prepared, Row, Service, Session
from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport Keyspace

# Registered with the service until executor_free. NULL: no memory. REQUIRES: the registry is loaded.
cdef Executor* executor_new(Keyspace* keyspace, Service* service) noexcept nogil
cdef void executor_free(Executor* executor) noexcept nogil

# What session.pyx is made of.
# Parses and runs batches until the bytes, the budget or the session's willingness end; see session_feed.
cdef size_t executor_feed(Executor* executor, Session* session, const char* data, size_t size) noexcept nogil
# Takes one command through all checks and runs, queues or parks it.
cdef void executor_command(Executor* executor, Session* session, Bytes* argv, uint32_t argc) noexcept nogil
# Runs the session's long command for one more slice. False: there is still more to do.
cdef bint executor_continue(Executor* executor, Session* session) noexcept nogil

# What EXEC is made of.
# Runs call.row's handler: makes call.keys, locks (unless call.held), counts. REQUIRES: checked; not a PYTHON row.
cdef void executor_run(Call* call) noexcept nogil
# Adds the shards that the command's keys are in, or all of them if it is one for the whole keyspace, to `set` (ShardSet*).
# False: no memory.
cdef bint executor_shards(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc, void* set) noexcept nogil
# Ends the accounting of one command: CLIENT REPLY modes. `start` is where in the writer its reply began.
cdef void executor_call_init(Call* call, Executor* executor, Session* session) noexcept nogil
# Adds the call's hits and misses to the keyspace's, and clears them.
cdef void executor_call_done(Call* call) noexcept nogil
