# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The log for the tests: a writer whose flusher is stepped by hand or runs in a thread, and a reader.

The clock of a log that is stepped by hand stands still until a test moves it.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.futex cimport store_ordered_u32
from kvcy.engine.log cimport (
    NEXT_FAILED, NEXT_MAKING, Log, LogPiece, LogPolicy, LogState, LogSubscriber, log_append, log_appended, log_durable,
    log_error, log_kick, log_ring, log_set_policy, log_state, log_statistics, log_subscribe, log_unsubscribe,
    log_unsynced_since_ns, log_wait, log_want, log_written,
)
from kvcy.engine.log_reader cimport (
    LOG_DAMAGED, LOG_END, LOG_FAILED, LOG_RECORD, LOG_TORN, LogFound, LogReader, reader_close, reader_next,
    reader_open,
)
from kvcy.engine.log_segment cimport segments_remove_before
from kvcy.engine.log_opening cimport LogOptions, log_open
from kvcy.engine.log_sleep cimport crowd_is_expected, log_gather, log_note_flush
from kvcy.engine.log_writer cimport log_close, log_flush_run, log_flush_step, log_prepare_run, log_stop
from kvcy.engine.platform cimport load_relaxed_u64, store_relaxed_u64

ALWAYS, EVERYSEC, NO = LogPolicy.LOG_ALWAYS, LogPolicy.LOG_EVERYSEC, LogPolicy.LOG_NO
WORKING, FULL, BROKEN = LogState.LOG_WORKING, LogState.LOG_FULL, LogState.LOG_BROKEN
FOUND = {LOG_RECORD: "record", LOG_END: "end", LOG_TORN: "torn", LOG_DAMAGED: "damaged", LOG_FAILED: "failed"}
HISTORY = b"0123456789abcdef"

cdef enum:
    MESSAGE_BYTES = 4096

cdef uint64_t clock_ns


cdef uint64_t still_clock() noexcept nogil:
    return load_relaxed_u64(&clock_ns)


def set_clock_ns(uint64_t ns) -> None:
    store_relaxed_u64(&clock_ns, ns)


cdef class Writer:
    """A log. `real_clock` goes with threads."""
    cdef Log* log
    cdef LogSubscriber* subscriber

    def __cinit__(
            self, int directory, uint64_t segment_bytes=4096, uint64_t ring_bytes=4096, uint64_t position=0,
            durable=None, erase=False, int policy=0, real_clock=False, bytes history=HISTORY) -> None:
        cdef LogOptions options
        cdef int error = 0
        memset(&options, 0, sizeof(LogOptions))
        options.directory = directory
        memcpy(options.history, <const char*> history, 16)
        options.segment_bytes = segment_bytes
        options.ring_bytes = ring_bytes
        options.position = position
        options.durable = position if durable is None else durable
        options.erase = erase
        options.policy = <LogPolicy> policy
        if not real_clock:
            options.now_ns = still_clock
        with nogil:
            self.log = log_open(&options, &error)
        if self.log == NULL:
            raise OSError(error, "log_open")

    def __dealloc__(self) -> None:
        if self.log != NULL:
            with nogil:
                log_close(self.log, NULL, 0)

    def append(self, *pieces: bytes, int64_t time_ms=0) -> int:
        """Append one record; its end."""
        cdef LogPiece views[8]
        cdef size_t i, count = len(pieces)
        cdef uint64_t end
        for i in range(count):
            views[i].data = <const char*> pieces[i]
            views[i].size = len(pieces[i])
        with nogil:
            end = log_append(self.log, views, count, time_ms)
            log_kick(self.log)
        return end

    def try_again(self, bint under_way) -> None:
        """As if another thread had begun to make the next segment, or had failed to."""
        store_ordered_u32(&self.log.next_state, NEXT_MAKING if under_way else NEXT_FAILED)

    def append_numbered(self, uint32_t thread, uint32_t count, uint32_t size_max) -> int:
        """Append `count` records, each of its number and the thread's and a filling; the last one's end."""
        cdef char message[MESSAGE_BYTES]
        cdef LogPiece piece
        cdef uint64_t end = 0
        cdef uint32_t i
        assert 8 <= size_max <= MESSAGE_BYTES
        memset(message, <int> thread, MESSAGE_BYTES)
        memcpy(message, &thread, 4)
        piece.data = message
        with nogil:
            for i in range(count):
                memcpy(message + 4, &i, 4)
                piece.size = 8 + (i * 37 + thread * 11) % (size_max - 7)
                end = log_append(self.log, &piece, 1, i)
                log_kick(self.log)
        return end

    def append_same(self, bytes operations, uint64_t count) -> int:
        """Append `count` equal records, for benchmarks."""
        cdef LogPiece piece
        cdef uint64_t end = 0
        piece.data = operations
        piece.size = len(operations)
        with nogil:
            for _ in range(count):
                end = log_append(self.log, &piece, 1, 0)
        return end

    def kick(self) -> None:
        with nogil:
            log_kick(self.log)

    def step(self) -> int:
        cdef uint64_t ns
        with nogil:
            ns = log_flush_step(self.log)
        return ns

    def crowd_is_expected(self, uint64_t sync_us) -> bool:
        """As if syncs took so long."""
        self.log.flush_usual_us = sync_us
        return crowd_is_expected(self.log)

    def gather(self, uint64_t crowd, uint64_t usual_us, uint64_t last_us) -> None:
        """As if flushes served so many, took so long, and the last one so long; nobody is expected."""
        log_note_flush(self.log, self.log.now_ns() - last_us * 1000)
        self.log.crowd = crowd
        self.log.flush_usual_us = usual_us
        with nogil:
            log_gather(self.log)

    def flushes_take(self, uint64_t usual_us) -> None:
        """As if they did."""
        self.log.flush_usual_us = usual_us

    def run(self) -> None:
        with nogil:
            log_flush_run(self.log)

    def run_prepare(self) -> None:
        with nogil:
            log_prepare_run(self.log)

    def stop(self) -> None:
        log_stop(self.log)

    def wait(self, uint64_t position) -> bool:
        cdef bint durable
        with nogil:
            durable = log_wait(self.log, position)
        return durable

    def subscribe(self, int event_fd) -> None:
        self.subscriber = log_subscribe(self.log, event_fd)
        assert self.subscriber != NULL

    def unsubscribe(self) -> None:
        log_unsubscribe(self.log, self.subscriber)

    def want(self, uint64_t position) -> bool:
        return log_want(self.log, self.subscriber, position)

    def set_policy(self, int policy) -> None:
        log_set_policy(self.log, <LogPolicy> policy)

    def close(self) -> int:
        cdef Log* log = self.log
        cdef int answer
        self.log = NULL
        with nogil:
            answer = log_close(log, NULL, 0)
        return answer

    @property
    def state(self) -> int:
        return log_state(self.log)

    @property
    def error(self) -> int:
        return log_error(self.log)

    @property
    def ring_bytes(self) -> int:
        return log_ring(self.log).bytes

    @property
    def durable(self) -> int:
        return log_durable(self.log)

    @property
    def written(self) -> int:
        return log_written(self.log)

    @property
    def appended(self) -> int:
        return log_appended(self.log)

    @property
    def unsynced_since_ns(self) -> int:
        return log_unsynced_since_ns(self.log)

    @property
    def statistics(self) -> dict:
        return log_statistics(self.log)


def read(int directory, uint64_t segment_bytes=4096, uint64_t position=0, bytes history=HISTORY) -> tuple:
    """All records from `position` on: (position, end, durable, time_ms, operations) of each; and the verdict."""
    cdef int error = 0
    cdef LogReader* reader
    cdef LogFound found
    cdef const unsigned char* history_bytes = <const unsigned char*> <const char*> history
    with nogil:
        reader = reader_open(directory, history_bytes, segment_bytes, position, &error)
    if reader == NULL:
        raise OSError(error, "reader_open")
    records = []
    while True:
        with nogil:
            found = reader_next(reader)
        if found != LOG_RECORD:
            break
        records.append((
            reader.record.position, reader.record.end, reader.record.durable, reader.record.time_ms,
            reader.record.operations[:reader.record.size]))
    verdict = {
        "found": FOUND[reader.verdict.found], "error": reader.verdict.error, "position": reader.verdict.position,
        "segment": reader.verdict.segment, "offset": reader.verdict.offset,
        "reason": reader.verdict.reason.decode(), "durable": reader.durable,
    }
    reader_close(reader)
    return records, verdict


def read_only(int directory, uint64_t segment_bytes) -> int:
    """Reads through the log, for benchmarks: the number of records."""
    cdef int error = 0
    cdef uint64_t count = 0
    cdef LogReader* reader
    cdef bytes history = HISTORY
    cdef const unsigned char* history_bytes = <const unsigned char*> <const char*> history
    with nogil:
        reader = reader_open(directory, history_bytes, segment_bytes, 0, &error)
        if reader != NULL:
            while reader_next(reader) == LOG_RECORD:
                count += 1
            reader_close(reader)
    return count


def remove_before(int directory, uint64_t position, uint64_t segment_bytes=4096) -> int:
    return segments_remove_before(directory, segment_bytes, position)
