# cython: language_level=3
"""The structs that commands share: a command's row, its call, the session, the executor, the service.

They point at each other, so they are declared together here; the modules that work on them (registry, call, session,
executor, service, clients) cimport them and are where users cimport them from. Declarations only: there is no code.

    Service      one a server: clients, password, limits, slow log           service.pxd
      Executor   one a thread: batch, reply writer, counters                 executor.pxd
        Call     one a command being run: what a handler is given            call.pxd
      Session    one a connection: protocol state, flags, transaction        session.pxd, clients.pxd
    Row          one a command: arity, flags, key positions, handler         registry.pxd
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.keyspace cimport Access
from kvcy.engine.operations cimport OpBuffer
from kvcy.engine.shards cimport Key, Keyspace, ShardSet
from kvcy.engine.rwlock cimport RWLock
from kvcy.engine.watch cimport Watcher
from kvcy.protocol.gathered cimport Gathered
from kvcy.protocol.parser cimport Arguments, Parser, ParseResult
from kvcy.protocol.writer cimport Writer

cdef struct Call
cdef struct Deferred
cdef struct Executor
cdef struct Row
cdef struct Service
cdef struct Session

ctypedef void (*Handler)(Call* call) noexcept nogil

# --- rows

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
    SECRET = 1 << 23                        # arguments hold passwords: the slow log does not show them
    # set by the registry, not by rows
    RUNS_AHEAD = 1 << 28                    # cannot change how later bytes are read: more may be parsed before it runs
    ONE_KEY = 1 << 29                       # exactly one key, at first_key
    SAMPLED = 1 << 30                       # so short that only one call in 16 is timed

cdef struct Row:
    const char* name                        # lower case; "client|list" for a subcommand
    uint32_t name_size
    uint32_t number                         # index among all rows, subcommands included
    int arity                               # negative: at least -arity arguments, the name included
    uint32_t flags
    int first_key                           # 0: no keys
    int last_key                            # negative: counted from the end
    int key_step
    Handler handler                         # NULL for PYTHON rows and for containers
    const Row* subcommands                  # a container's rows, contiguous
    uint32_t subcommand_count
    const Row* container                    # of a subcommand, else NULL

cdef struct RowSlot:                   # open addressing over folded names of at most 16 bytes
    uint64_t low
    uint64_t high
    const Row* row                     # NULL: empty

cdef struct RowTable:
    const RowSlot* slots
    uint32_t mask
    const Row* rows
    uint32_t count                     # all rows, subcommands included: numbers are below it

cdef enum:
    HISTOGRAM_BUCKETS = 832                 # up to 2 ** 30 ns: histogram.pxd

cdef struct Histogram:                      # of the time that timed calls took
    uint64_t counts[832]

cdef struct RowStats:                       # per row, per executor; summed by service_row_stats
    uint64_t calls
    uint64_t timed                          # calls that were timed: single-key commands are sampled
    uint64_t nanoseconds                    # of the timed calls
    uint64_t rejected
    uint64_t failed
    Histogram* histogram                    # atomic; owned; NULL until a call was noted in it

cdef enum:
    ERROR_CODES_MAX = 32
    ERROR_CODE_BYTES = 16

cdef struct ErrorCount:                     # error replies with one code, such as ERR
    uint64_t low                            # the code's bytes, padded with zeros
    uint64_t high
    uint64_t count

cdef struct ErrorCounts:
    ErrorCount codes[32]
    uint32_t used                           # atomic: places that are filled

# --- calls

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
    bint postponed                          # it was not run: a helper's long command is in the way (helping.pxd)
    Deferred* whole                         # what argv is in, if it may be kept for later as it is: call_keep. Borrowed

# A long command (KEYS, SCAN with a huge COUNT) works in slices. When its first slice is used up, its handler writes
# nothing and calls call_continue(call, step, discard, state): session.state is then SESSION_CONTINUING. No lock is held
# between slices. In each later turn session_feed calls step(call, state) before it looks at any byte, with a Call whose
# access, session, executor, reply and row are valid (argc, argv and keys are not: the state owns what it needs). True:
# the one reply has been written, the state is discarded and the session goes on with its next command. Inside EXEC
# (call.held) and in session_execute there is nobody to wait for: EXEC's handlers never continue, session_execute loops.
# Only rows without keys, or with SELF_LOCKING or ALL_SHARDS, may continue (others are parsed in batches).
ctypedef bint (*Step)(Call* call, void* state) noexcept nogil
ctypedef void (*Discard)(void* state) noexcept nogil

cdef struct Continuation:
    Step step                               # NULL: the session has none
    Discard discard                         # frees the state: after the last step, or when the session ends before it
    void* state
    const Row* row

cdef struct Postponed                       # helping.pxd

# --- sessions

cdef enum SessionState:
    SESSION_OPEN = 0
    SESSION_PARKED = 1
    SESSION_CLOSING = 2
    SESSION_CONTINUING = 3

cdef enum SessionFlag:
    SESSION_AUTHENTICATED = 1
    SESSION_MULTI = 2              # between MULTI and EXEC
    SESSION_MULTI_FAILED = 4       # an error at queue time: EXEC answers EXECABORT
    SESSION_REPLY_OFF = 8
    SESSION_REPLY_SKIP = 16        # this command's reply is dropped
    SESSION_REPLY_SKIP_NEXT = 32
    SESSION_NO_EVICT = 64
    SESSION_NO_TOUCH = 128
    SESSION_UNIX = 256             # came over the Unix socket
    SESSION_TRIO = 512             # carried by the trio path

# A command kept for later (call.pxd): argv and bytes lie behind it and blocks are retained, or are all in `gathered`.
cdef struct Deferred:
    const Row* row
    uint32_t argc
    Bytes* argv
    size_t memory_bytes
    uint64_t began                 # when it was put off, in cycles (cycles.pxd)
    Gathered gathered              # owned

cdef struct Transaction:           # what MULTI has queued
    Deferred** queue               # [count]; owned
    uint32_t count
    uint32_t capacity
    uint32_t flags_or              # of the queued rows
    uint64_t weight                # the queued commands, as many times as they have keys; a walk is long by itself
    # PYTHON rows in it, whose replies are got before the rest runs
    uint32_t* python               # [python_count] their places in the queue, rising; owned
    uint32_t python_count
    uint32_t python_capacity
    uint32_t answered              # of them; the next one is session.deferred, which does not own it
    Block** answers                # [python_count]; NULL before EXEC. Up to `answered`, NULL: no memory for it
    Deferred* ending               # EXEC itself while it waits for them; owned

ctypedef void (*Wake)(void* carrier) noexcept nogil

cdef struct Session:               # what is shown to other threads: shown.pxd
    uint64_t id
    Parser parser
    uint32_t flags                 # SessionFlag bits (shown)
    uint32_t killed                # atomic: CLIENT KILL: the carrier closes it as soon as it notices
    uint32_t state                 # SessionState (shown)
    uint32_t database              # (shown)
    Watcher watcher
    Transaction* transaction       # NULL outside MULTI
    uint32_t queue_count           # commands MULTI has queued (shown)
    uint64_t queue_bytes           # what they take (shown)
    Deferred* deferred             # while SESSION_PARKED: the command Python has to answer
    Continuation continuation      # valid while SESSION_CONTINUING
    Postponed* postponed           # or, if not NULL, commands that are to be tried again
    int64_t created_ms             # Unix time
    int64_t last_ms                # of the last command (shown)
    const Row* last_row            # (shown)
    uint64_t commands
    uint64_t bytes_in              # these four are the carrier's to keep
    uint64_t bytes_out
    uint64_t input_bytes           # what the carrier keeps of an unfinished command (CLIENT LIST qbuf; shown)
    uint64_t output_bytes          # what the carrier still has to send (oll/omem; shown)
    uint64_t array_bytes           # parser_array_bytes, when clients_count was last called (shown)
    uint64_t counted_bytes         # what clients_count was last told of it (atomic)
    int fd
    uint32_t protocol              # 2 or 3 (shown)
    Wake wake                      # called by another thread after it set `killed`; may not block; NULL: none
    void* carrier                  # its argument
    # NUL-terminated texts, owned; changed only under the registry's lock
    char* address                  # "127.0.0.1:50000", "/path:0"
    char* local_address
    char* name
    char* library_name
    char* library_version
    Session* previous              # neighbours in the registry (clients.pxd)
    Session* next

# --- executors

cdef enum:
    BATCH_MAX = 48                 # commands of one session parsed ahead
    AHEAD_ENOUGH = 48              # commands of several sessions parsed ahead: no further session's are
    CLOCK_SHIFT = 20               # fixed point of Executor.tick_ns

cdef struct Prepared:              # one command of a batch
    const Row* row                 # NULL: unknown
    uint32_t first                 # of its arguments, in Executor.arguments
    uint32_t argc
    Key key                        # of a ONE_KEY row with the right arity

cdef struct Ahead:                 # a session's first batch, parsed before others run theirs
    size_t offset                  # bytes it took
    uint32_t first                 # in Executor.batch
    uint32_t count
    ParseResult result             # of the parser, behind it

cdef struct Executor:
    Keyspace* keyspace
    Service* service
    Writer reply                   # replies of the session being fed; its carrier empties it
    int64_t now_ms                 # Unix time, set by the carrier once a turn
    int64_t now_us                 # the same clock in microseconds (TIME, SLOWLOG), set once a turn
    uint32_t budget                # commands the session being fed may still run in this turn
    uint64_t gate                  # the log's position that what is in `reply` may depend on; 0: none
    # Of a session's flags, those by which a command is ordinary: SESSION_AUTHENTICATED | SESSION_MULTI. 0 while the
    # data are being loaded: then none is, and each meets admission.pyx. See executor_load_done.
    uint32_t ordinary_mask
    # quiet.pxd registration of this thread, -1: no prefetching without locks. The carrier calls quiet_enter before it
    # feeds, and quiet_pass or quiet_leave after.
    int quiet_thread
    RowStats* stats                # [number of rows]; read by others as they are (relaxed)
    uint64_t commands              # processed in all
    uint64_t errors                # error replies
    ErrorCounts error_counts
    # working memory of session_feed
    const RowTable* rows
    Arguments arguments
    const Row* opening_row         # of the command last parsed into them, by its name alone
    Prepared* batch                # [AHEAD_ENOUGH + 2 * BATCH_MAX]
    uint32_t ahead_count           # of it, commands parsed by executor_parse_ahead
    OpBuffer group                 # what a command with several keys or EXEC has to log
    Key* keys                      # for commands with several
    uint32_t key_capacity
    bint serves_others             # long commands go to helpers, and what is in their way is postponed (helping.pxd)
    bint time_all                  # the slow log's threshold is so low that sampling will not do
    Executor* next                 # in the service's list

# --- what all executors of one server share

cdef struct Clients:
    RWLock lock                    # a leaf (rwlock.pxd), used as a mutex
    Session* first                 # in order of arrival
    Session* last
    uint64_t count
    uint64_t next_id               # atomic
    uint64_t total_connections     # atomic
    uint64_t memory_bytes_max      # maxmemory-clients (atomic); 0: none
    uint64_t evicted               # atomic: closed because of it

cdef enum:
    SLOW_ARGS_MAX = 32
    SLOW_ARG_BYTES_MAX = 128
    LATENCY_SAMPLES_MAX = 160

cdef struct SlowEntry:
    uint64_t id
    int64_t time_s
    uint64_t duration_us
    Deferred* command              # at most SLOW_ARGS_MAX arguments of SLOW_ARG_BYTES_MAX bytes
    char address[64]
    char name[64]

cdef enum LatencyEvent:
    LATENCY_COMMAND = 0            # a command not flagged fast
    LATENCY_FAST_COMMAND = 1
    LATENCY_EXPIRE_CYCLE = 2
    LATENCY_EVICTION_CYCLE = 3
    LATENCY_FORK = 4
    LATENCY_EVENTS = 5             # how many there are

cdef struct LatencySample:
    int64_t time_s
    uint32_t latency_ms

cdef struct LatencySeries:
    LatencySample samples[160]     # a ring; a second has one sample, its worst
    uint32_t count
    uint32_t newest
    uint32_t max_ms

cdef struct Service:
    Clients clients
    RWLock lock                    # a leaf, used as a mutex: password, slow log, latency, list of executors
    char* password                 # owned, NULL: none is required
    size_t password_size
    uint32_t password_required     # atomic
    # Atomic: the data are being loaded, by a thread that takes no locks. Executors refuse what touches keys until they
    # have looked here after it went to 0 (acquire: what was loaded, and the keyspace's log, are seen then).
    uint32_t loading
    uint32_t writes_stopped        # atomic: a snapshot has failed, and stop-writes-on-bgsave-error forbids changes then
    uint64_t bulk_bytes_max        # proto-max-bulk-len (atomic)
    # slow log: a ring of the newest
    int64_t slow_us                # slowlog-log-slower-than (atomic); negative: off
    SlowEntry* slow_entries        # [slow_capacity]; slow_capacity is slowlog-max-len
    uint32_t slow_capacity
    uint32_t slow_count            # read relaxed without the lock, too
    uint32_t slow_newest
    uint64_t slow_next_id
    uint64_t latency_threshold_ms  # latency-monitor-threshold (atomic); 0: off
    uint32_t latency_tracking      # latency-tracking (atomic): timed calls are noted in histograms
    LatencySeries* latency         # [LATENCY_EVENTS], NULL until first needed
    Executor* executors
    RowStats* stats                # of executors that are gone
    uint64_t commands              # likewise
    uint64_t errors
    ErrorCounts error_counts
    uint64_t auth_failures         # atomic counters
    uint64_t rejected_connections  # the listeners' to count
    uint64_t tick_ns               # nanoseconds a tick of the cycle counter, << CLOCK_SHIFT
