# cython: language_level=3
"""What a command handler is given, and what it answers standard cases with.

A handler is `cdef void name(Call* call) noexcept nogil`. It writes exactly one reply to call.reply. The executor has
already checked the arity, the authentication and the queueing of MULTI, made call.keys from the row's key positions,
and locked their shards: shared for READONLY rows, exclusive for WRITE rows, so a handler never locks (rows with
SELF_LOCKING excepted). It uses call.access for every engine operation, with call.keys[i] for the i-th key argument.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.types cimport (
    ADMIN, ALL_SHARDS, ALLOW_BUSY, DENYOOM, FAST, LOADING, MOVABLE_KEYS, NO_AUTH, NO_MULTI, NOSCRIPT, ONE_KEY, PYTHON,
    READONLY, RUNS_AHEAD, SELF_LOCKING, SKIP_MONITOR, SKIP_SLOWLOG, STALE, UNQUEUED, WRITE,
    Call, Continuation, Deferred, Discard, Executor, Handler, Row, RowFlag, RowStats, Service, Session, Step,
)
from kvcy.engine.block cimport Bytes
from kvcy.engine.events cimport Event, event_raise
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Key, Keyspace, ShardSet
from kvcy.protocol.gathered cimport Gathered
from kvcy.protocol.writer cimport Writer

# Whether a long command that has done so many steps in this slice is to give way: the turn has become SLICE_US old, but
# not before its first step; or another long command may hold locks (yielding.pxd). Never while EXEC holds the locks.
cdef bint call_slice_over(const Call* call, int steps) noexcept nogil
cdef void call_continue(Call* call, Step step, Discard discard, void* state) noexcept nogil    # see types.pxd

# Replies with one of Redis's standard errors.
cdef void reply_syntax_error(Call* call) noexcept nogil             # -ERR syntax error
cdef void reply_wrong_type(Call* call) noexcept nogil               # -WRONGTYPE Operation against a key ...
cdef void reply_not_an_integer(Call* call) noexcept nogil           # -ERR value is not an integer or out of range
# -OOM command not allowed when used memory > 'maxmemory'.
cdef void reply_out_of_memory(Call* call) noexcept nogil
cdef void reply_wrong_arity(Call* call) noexcept nogil              # -ERR wrong number of arguments for '...' command
# `before`, the argument cut at `bytes_max` bytes, `after`: an error that quotes an argument. CR and LF become spaces.
cdef void reply_error_quoting(Call* call, const char* before, const Bytes* arg, size_t bytes_max,
                              const char* after) noexcept nogil

# Argument helpers. Comparison with an option name ignores case; `name` is NUL-terminated lower case.
cdef bint arg_is(const Bytes* arg, const char* name) noexcept nogil
# Whether all characters are visible ASCII, as Redis wants them in names of clients.
cdef bint arg_is_visible(const Bytes* arg) noexcept nogil
# A signed 64-bit integer as Redis's string2ll takes it: no blanks, no plus, no leading zeros, whole range.
cdef bint parse_int(const char* data, size_t size, int64_t* number) noexcept nogil
cdef bint arg_int(const Bytes* arg, int64_t* number) noexcept nogil
# Replies (value is not an integer or out of range) itself when false.
cdef bint arg_int_or_reply(Call* call, uint32_t index, int64_t* number) noexcept nogil

cdef inline void call_event(Call* call, Event event, const Key* key) noexcept nogil:
    """Raises an event of a key of the selected database (events.pxd)."""
    event_raise(&call.access.keyspace.events, event, call.access.database, key.data, key.size)

# A copy of a command that outlives its buffer: argv and small arguments in one allocation, blocks retained. NULL: no
# memory.
cdef Deferred* deferred_new(const Row* row, const Bytes* argv, uint32_t argc) noexcept nogil
# One that takes over what it consists of, which is empty then; without a row. NULL: no memory, nothing changed.
cdef Deferred* deferred_adopt(Gathered* gathered) noexcept nogil
# The call's command, to be kept for later: call.whole, which changes hands (and is NULL then), or a copy. NULL: no
# memory.
cdef Deferred* call_keep(Call* call) noexcept nogil
cdef void deferred_free(Deferred* deferred) noexcept nogil          # NULL is allowed
