# cython: language_level=3
"""What a command handler is given, and what a command's row holds at run time.

A handler is `cdef void name(Call* call) noexcept nogil`. It writes exactly one reply to call.reply. The executor has
already checked the arity, the authentication and the queueing of MULTI, made call.keys from the row's key positions,
and locked their shards: shared for READONLY rows, exclusive for WRITE rows, so a handler never locks (rows with
SELF_LOCKING excepted). It uses call.access for every engine operation, with call.keys[i] for the i-th key argument.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport Access, Key, Keyspace, ShardSet
from kvcy.protocol.writer cimport Writer

cdef struct Session                         # session.pxd
cdef struct Executor                        # session.pxd

cdef struct Call:
    Access access
    Session* session
    Executor* executor
    Writer* reply
    const Row* row
    Bytes* argv                             # argv[0] is the command's name; borrowed for the call
    uint32_t argc
    Key* keys                               # [key_count], in argument order
    uint32_t key_count
    const ShardSet* held                    # inside EXEC: the shards already locked (exclusively), else NULL

ctypedef void (*Handler)(Call* call) noexcept nogil

# A long command (KEYS, SCAN with a huge COUNT) works in slices. When its first slice is used up, its handler writes
# nothing and calls call_continue(call, step, discard, state): session.state is then SESSION_CONTINUING. No lock is held
# between slices. In each later turn session_feed calls step(call, state) before it looks at any byte, with a Call whose
# access, session, executor, reply and row are valid (argc, argv and keys are not: the state owns what it needs). True:
# the one reply has been written, the state is discarded and the session goes on with its next command. Inside EXEC
# (call.held) and in session_execute there is nobody to wait for: EXEC's handlers never continue, session_execute loops.
ctypedef bint (*Step)(Call* call, void* state) noexcept nogil
ctypedef void (*Discard)(void* state) noexcept nogil

cdef struct Continuation:
    Step step                               # NULL: the session has none
    Discard discard                         # frees the state: after the last step, or when the session ends before it
    void* state
    const Row* row

cdef void call_continue(Call* call, Step step, Discard discard, void* state) noexcept nogil

cdef enum RowFlag:                          # the names COMMAND INFO shows, and our own
    WRITE = 1 << 0
    READONLY = 1 << 1
    DENYOOM = 1 << 2
    ADMIN = 1 << 3
    FAST = 1 << 4
    NO_AUTH = 1 << 5                        # allowed before authentication
    LOADING = 1 << 6
    STALE = 1 << 7
    NOSCRIPT = 1 << 8
    NO_MULTI = 1 << 9
    SKIP_MONITOR = 1 << 10
    SKIP_SLOWLOG = 1 << 11
    MOVABLE_KEYS = 1 << 12
    ALLOW_BUSY = 1 << 13
    # kvcy's own
    PYTHON = 1 << 24                        # no native handler: the connection is parked, a trio task answers
    SELF_LOCKING = 1 << 25                  # the handler locks shards itself, unless call.held
    ALL_SHARDS = 1 << 26                    # every shard is locked (FLUSHALL, SWAPDB)
    UNQUEUED = 1 << 27                      # runs at once inside MULTI (EXEC, DISCARD, WATCH, QUIT, RESET, MULTI)

cdef struct Row:
    const char* name                        # lower case; "client|list" for a subcommand
    uint32_t number                         # index among all rows
    int arity                               # negative: at least -arity arguments, the name included
    uint32_t flags
    int first_key
    int last_key                            # negative: counted from the end
    int key_step
    Handler handler                         # NULL for PYTHON rows and for containers
    const Row* subcommands                  # a container's rows, contiguous
    uint32_t subcommand_count

cdef struct RowStats:                       # per row, per executor thread; summed by INFO commandstats
    uint64_t calls
    uint64_t nanoseconds
    uint64_t rejected
    uint64_t failed

# Replies with one of Redis's standard errors.
cdef void reply_syntax_error(Call* call) noexcept nogil             # -ERR syntax error
cdef void reply_wrong_type(Call* call) noexcept nogil               # -WRONGTYPE Operation against a key ...
cdef void reply_not_an_integer(Call* call) noexcept nogil           # -ERR value is not an integer or out of range
cdef void reply_out_of_memory(Call* call) noexcept nogil            # -OOM command not allowed when used memory > 'maxmemory'.
cdef void reply_wrong_arity(Call* call) noexcept nogil              # -ERR wrong number of arguments for '...' command

# Argument helpers. Comparison with an option name ignores case; `name` is NUL-terminated lower case.
cdef bint arg_is(const Bytes* arg, const char* name) noexcept nogil
# A signed 64-bit integer as Redis's string2ll takes it: no blanks, no plus, no leading zeros, whole range.
cdef bint parse_int(const char* data, size_t size, int64_t* number) noexcept nogil
cdef bint arg_int(const Bytes* arg, int64_t* number) noexcept nogil
# Replies (value is not an integer or out of range) itself when false.
cdef bint arg_int_or_reply(Call* call, uint32_t index, int64_t* number) noexcept nogil
