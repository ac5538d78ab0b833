# cython: language_level=3
"""The write-ahead log, the part in memory: appending, and waiting for what was appended to be on disk.

    appenders  --copy-->  ring  --log_writer.pyx, one thread-->  segments of the directory

Positions, all of which only grow: durable <= written <= taken <= appended. Formats and promises: docs/durability.md.

THE ORDER OF THINGS. Whoever changes shards appends under their locks (log_append takes a leaf lock, and waits for the
flusher when the ring is full, which waits for nobody; for a disk that is slow or full it takes a larger ring). Then the
locks are released, and then, once for as many records as there were, log_kick is called: it wakes the flusher if that
sleeps. Without the kick a record is still written, with the next one that is kicked, or when the ring is half full, or
within LOG_SLEEP_MAX_NS.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.futex cimport load_ordered_u32, load_ordered_u64
from kvcy.engine.log_direct cimport LogDirect
from kvcy.engine.platform cimport load_relaxed_u32, load_relaxed_u64, unlikely

cdef enum:
    LOG_SUBSCRIBERS_MAX = 160
    LOG_RING_BYTES = 1 << 22            # the default
    LOG_UNSYNCED_NS_MAX = 1000000000    # everysec: how old an unsynced change may become before writers wait

cdef enum LogPolicy:                    # appendfsync
    LOG_ALWAYS = 0
    LOG_EVERYSEC
    LOG_NO

cdef enum LogState:
    LOG_WORKING = 0
    LOG_FULL                            # the disk is; tried again every 100 ms. Refuse writes, serve reads
    LOG_BROKEN                          # for ever: nothing that is not durable yet will be. `error` says why

cdef enum LogSleep:                     # what the flusher may be woken by
    AWAKE = 0
    SLEEPING                            # by log_kick and log_wake
    PACING                              # by log_wake alone: it has just written, and wants more to come together
    GATHERING                           # by log_kick_crowd, when those it waits for are here, and log_wake

cdef enum NextState:                    # of the segment that is made ahead of its use
    NEXT_WANTED = 0
    NEXT_MAKING                         # by the thread that made it so
    NEXT_READY
    NEXT_FAILED

cdef struct LogPiece:
    const char* data
    size_t size

cdef struct LogRing:
    char* data
    uint64_t bytes                      # a power of two
    LogRing* before                     # the one it took the place of, which the flusher may still read; or NULL

cdef extern from *:
    LogRing* load_ring "KVCY_LOAD_SC"(LogRing**) nogil
    void store_ring "KVCY_STORE_SC"(LogRing**, LogRing*) nogil

cdef struct LogSubscriber:
    int event_fd                        # written to when the durable position has reached `wanted`; -1: nobody's
    uint64_t wanted                     # atomic; 0: do not wake me
    char unshared[48]

cdef struct LogStatistics:              # each value is exact, but they need not be of one moment
    uint64_t records                    # appended since the log was opened
    uint64_t bytes
    uint64_t writes
    uint64_t syncs
    uint64_t sync_last_us
    uint64_t sync_max_us
    uint64_t sync_total_us

cdef struct Log:
    # What appenders change, under `lock`
    uint32_t lock                       # leaf
    uint32_t seed                       # the checksum of the history, which every record's begins with
    uint64_t appended                   # atomic: the end of the last record in the ring
    uint64_t filled                     # atomic: may lie behind `appended`: a part of a record that waits for room
    uint64_t records                    # atomic
    uint32_t room_wanted                # atomic flag: an appender waits for the ring to have room
    char unshared[28]
    # What the flusher changes
    uint64_t taken                      # atomic: the ring up to here may be used again
    uint64_t written                    # atomic: in the files, up to here
    uint64_t durable                    # atomic: on disk, up to here; always the end of a record
    uint32_t sleeping                   # atomic: LogSleep. A futex
    uint32_t room_word                  # atomic: changes when there is room. A futex
    uint32_t durable_word               # atomic: changes with `durable`, if anybody waits. A futex
    uint32_t state                      # atomic: LogState
    uint32_t error                      # atomic: the errno behind LOG_FULL and LOG_BROKEN
    uint32_t ended                      # atomic flag: the flusher has ended, or log_close has begun
    uint64_t unsynced_since_ns          # atomic, monotonic: the oldest unsynced byte came then; 0: there is none
    char unshared_too[8]
    # What anybody changes
    uint64_t wanted                     # atomic: sync up to here whatever the policy says
    uint64_t awaited                    # atomic: how many records there are to be before a sync, while GATHERING
    uint32_t waiting                    # atomic: how many are in log_wait
    uint32_t policy                     # atomic: LogPolicy
    uint32_t stopping                   # atomic flag
    uint32_t preparers                  # atomic: threads in log_prepare_run
    uint32_t next_state                 # atomic: NextState. A futex
    uint32_t next_error                 # with NEXT_FAILED
    int next_file                       # with NEXT_READY
    uint32_t subscribers_lock           # leaf: protects the subscribers' event_fd
    # What does not change, or hardly
    LogRing* ring                       # atomic, changed under `lock`: the one in use
    LogRing first
    uint64_t segment_bytes
    uint64_t began                      # the position at which it was opened
    uint64_t vouched                    # what the records up to there call durable
    unsigned char history[16]
    int directory                       # borrowed
    uint64_t (*now_ns)() noexcept nogil
    # What the flusher keeps to itself
    int file                            # of the segment being written
    uint64_t segment                    # its number
    uint64_t boundary                   # the end of the last record that is in the files as a whole
    uint64_t synced                     # `written` when the last sync that succeeded began
    LogDirect direct                    # how it is written under `always`
    uint64_t zeroed                     # zeros were written up to here, or it is behind `written`: see zero_ahead
    uint64_t sync_began_ns              # the last sync
    uint64_t covered                    # records that it made durable, since the log was opened
    uint64_t crowd                      # records it made durable, and those that had come by its end: see log_sleep.pyx
    uint64_t flush_usual_us             # how long writing and syncing take together, as a rule
    bint gives_way                      # its thread pushes nobody aside: see log_sleep.pyx
    uint64_t push_until_ns              # monotonic: not before then
    uint32_t vain                       # how often in a row the crowd was waited for in vain
    uint32_t hasty                      # that many syncs are not waited for any more
    uint64_t prepared_ns                # when the flusher last tried to make a segment
    bint wrote                          # in the last step
    uint64_t writes                     # atomic, as those that follow
    uint64_t syncs
    uint64_t sync_last_us
    uint64_t sync_max_us
    uint64_t sync_total_us
    LogSubscriber subscribers[LOG_SUBSCRIBERS_MAX]

# Appends one record of all `pieces` together; returns its end. Never fails: in a broken log it goes nowhere.
# REQUIRES: 1 to RECORD_SIZE_MAX bytes in all; a flusher runs, or the ring has room.
cdef uint64_t log_append(Log* log, const LogPiece* pieces, size_t count, int64_t time_ms) noexcept nogil
cdef void log_wake(Log* log) noexcept nogil
# Blocks until `position` is durable, whatever the policy: True. False: it will not be, the log is broken or closed.
# REQUIRES: a flusher runs; the caller holds no lock.
cdef bint log_wait(Log* log, uint64_t position) noexcept nogil
cdef void log_set_policy(Log* log, LogPolicy policy) noexcept nogil
# `event_fd` is written to when what log_want asked for has come true. NULL: there are too many.
cdef LogSubscriber* log_subscribe(Log* log, int event_fd) noexcept nogil
cdef void log_unsubscribe(Log* log, LogSubscriber* subscriber) noexcept nogil   # event_fd is not touched after this
# Asks for one wake-up when `position` is durable, or the log broken. True: it is already, no wake-up will come (one may
# be on its way from before). A call takes the place of the one before.
cdef bint log_want(Log* log, LogSubscriber* subscriber, uint64_t position) noexcept nogil
cdef LogStatistics log_statistics(const Log* log) noexcept nogil

# For log_writer: memory for a log, everything in it zero; and telling those who wait.
cdef Log* log_new(uint64_t ring_bytes) noexcept nogil
cdef void log_free(Log* log) noexcept nogil
cdef void log_give_room(Log* log, uint64_t position) noexcept nogil
cdef void log_tell_appenders(Log* log) noexcept nogil
cdef void log_publish(Log* log, uint64_t durable) noexcept nogil
cdef void log_tell(Log* log) noexcept nogil


cdef inline void log_kick(Log* log) noexcept nogil:
    """To be called after appending, when the locks are released. Costs nothing while the flusher is busy."""
    if unlikely(load_ordered_u32(&log.sleeping) == SLEEPING):
        log_wake(log)


cdef inline const LogRing* log_ring(Log* log) noexcept nogil:
    """The ring that holds all between `taken` and what `filled` or `appended` was when it was last read."""
    return load_ring(&log.ring)


cdef inline void log_kick_crowd(Log* log) noexcept nogil:
    """To be called after appending, as often as one likes: wakes the flusher if it waits for more records to come
    together, and they have."""
    if unlikely(load_ordered_u32(&log.sleeping) == GATHERING) \
            and load_relaxed_u64(&log.records) >= load_relaxed_u64(&log.awaited):
        log_wake(log)


cdef inline uint64_t log_appended(const Log* log) noexcept nogil:
    return load_ordered_u64(&log.appended)


cdef inline uint64_t log_written(const Log* log) noexcept nogil:
    return load_ordered_u64(&log.written)


cdef inline uint64_t log_durable(const Log* log) noexcept nogil:
    return load_ordered_u64(&log.durable)


cdef inline LogState log_state(const Log* log) noexcept nogil:
    return <LogState> load_ordered_u32(&log.state)


cdef inline int log_error(const Log* log) noexcept nogil:
    return <int> load_ordered_u32(&log.error)


cdef inline uint64_t log_unsynced_since_ns(const Log* log) noexcept nogil:
    """When (monotonic clock) the oldest byte that is not durable came to the flusher; 0: there is none."""
    return load_ordered_u64(&log.unsynced_since_ns)


cdef inline bint log_holds_back(const Log* log) noexcept nogil:
    """Whether what may depend on the log has to wait for it: always, or while a sync that is due every second is
    overdue."""
    cdef uint32_t policy = load_relaxed_u32(&log.policy)
    cdef uint64_t since_ns
    if policy != LOG_EVERYSEC:
        return policy == LOG_ALWAYS
    since_ns = log_unsynced_since_ns(log)
    return since_ns != 0 and monotonic_ns() > since_ns + LOG_UNSYNCED_NS_MAX
