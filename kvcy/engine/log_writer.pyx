# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The flusher. See log_writer.pxd, and docs/durability.md for the promises.

A segment is synced before the next one is written to, whatever the policy: a segment in use vouches for those before
it. `boundary` is the end of the last record that is in the files as a whole; a sync makes that the durable position.

When the disk is full, the flusher says so (LOG_FULL) as soon as the next segment cannot be made and the one in use has
no room left for what the ring may hold twice over, so that what is in the ring, as a rule, still finds its place and no
appender has to wait.

An error but that one breaks the log. From then on the flusher throws away what comes, so that no appender hangs.
"""
from libc.errno cimport EDQUOT, EINVAL, ENOSPC, EOPNOTSUPP
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.files cimport file_close, file_sync, file_write_at, file_write_zeros
from kvcy.engine.futex cimport (
    add_ordered_u32, futex_wait, futex_wake, load_ordered_u32, load_ordered_u64, store_ordered_u32,
    store_ordered_u64, swap_if_u32,
)
from kvcy.engine.log cimport (
    LOG_ALWAYS, LOG_BROKEN, LOG_EVERYSEC, LOG_FULL, LOG_WORKING, NEXT_FAILED, NEXT_MAKING, NEXT_READY, NEXT_WANTED,
    PACING, SLEEPING, LogPiece, LogRing, log_append, log_free, log_give_room, log_publish, log_ring, log_tell,
    log_tell_appenders, log_wake,
)
from kvcy.engine.log_direct cimport (
    DIRECT_BLOCK_BYTES, DIRECT_BYTES_MAX, direct_forget, direct_free, direct_leave, direct_ready, direct_refuse,
    direct_write,
)
from kvcy.engine.log_format cimport place_in_file, record_space
from kvcy.engine.log_segment cimport segment_make
from kvcy.engine.log_sleep cimport log_end_gathering, log_gather, log_note_flush, log_sleep
from kvcy.engine.platform cimport add_own_u64, invariant, load_relaxed_u64, store_relaxed_u64

cdef enum:
    ZERO_AHEAD_BYTES = 1 << 19      # a power of two
    DIRECT_FLUSH_US_MAX = 500       # where flushes take as long, it is not written past the cache


# --- states

cdef bint is_full_disk(int answer) noexcept nogil:
    return answer == -ENOSPC or answer == -EDQUOT


cdef void log_break(Log* log, int error) noexcept nogil:
    """Nothing but what is durable is ever promised again."""
    invariant(error > 0 and log.state != LOG_BROKEN)
    store_ordered_u32(&log.error, error)
    store_ordered_u32(&log.state, LOG_BROKEN)
    log_tell(log)


cdef void set_full(Log* log, int error) noexcept nogil:
    """`error`: of the full disk, or 0: it is not."""
    if log.state == LOG_BROKEN or (log.state == LOG_FULL) == (error != 0):
        return
    store_ordered_u32(&log.error, error)
    store_ordered_u32(&log.state, LOG_FULL if error != 0 else LOG_WORKING)
    log_tell_appenders(log)


cdef void judge_room(Log* log) noexcept nogil:
    """Whether the disk is full, as far as anybody has to know, or worse. While a segment that is needed is tried again,
    what was said stands."""
    cdef uint64_t room = (log.segment + 1) * log.segment_bytes - log.written
    cdef uint32_t next_state = load_ordered_u32(&log.next_state)
    if next_state == NEXT_FAILED and not is_full_disk(-<int> log.next_error):
        log_break(log, <int> log.next_error)
    elif room < 2 * log.first.bytes and next_state == NEXT_FAILED:
        set_full(log, <int> log.next_error)
    elif room >= 2 * log.first.bytes or next_state != NEXT_MAKING:
        set_full(log, 0)


# --- the next segment

cdef void prepare(Log* log) noexcept nogil:
    """Makes the next segment, if nobody is at it. By any thread."""
    cdef int file
    if not (swap_if_u32(&log.next_state, NEXT_WANTED, NEXT_MAKING)
            or swap_if_u32(&log.next_state, NEXT_FAILED, NEXT_MAKING)):
        return
    file = segment_make(log.directory, log.segment + 1, log.segment_bytes, log.history)
    if file >= 0:
        log.next_file = file
    else:
        log.next_error = -file
    store_ordered_u32(&log.next_state, NEXT_READY if file >= 0 else NEXT_FAILED)
    futex_wake(&log.next_state)


cdef void prepare_in_time(Log* log, uint64_t now_ns) noexcept nogil:
    """Where no other thread makes segments: makes the next one when more than half of this one is used."""
    cdef uint64_t room = (log.segment + 1) * log.segment_bytes - log.written
    cdef uint32_t state = load_ordered_u32(&log.next_state)
    if state == NEXT_READY or room > log.segment_bytes // 2 or load_ordered_u32(&log.preparers) != 0:
        return
    if state == NEXT_WANTED or now_ns - log.prepared_ns >= LOG_RETRY_NS:
        log.prepared_ns = now_ns
        prepare(log)


cdef int change_segment(Log* log) noexcept nogil:
    """Goes on to the next segment when the one in use is full and synced; 0 or a negative errno."""
    while load_ordered_u32(&log.next_state) != NEXT_READY:
        prepare(log)
        futex_wait(&log.next_state, NEXT_MAKING, -1)
        if load_ordered_u32(&log.next_state) == NEXT_FAILED:
            return -<int> log.next_error
    file_close(log.file)
    direct_forget(&log.direct)
    log.file = log.next_file
    log.next_file = -1
    log.segment += 1
    store_ordered_u32(&log.next_state, NEXT_WANTED)
    futex_wake(&log.next_state)
    return 0


# --- the flusher's turn

cdef int sync_written(Log* log) noexcept nogil:
    """Syncs the segment in use; 0 or a negative errno."""
    cdef uint64_t began_ns = log.now_ns()
    cdef uint64_t us
    cdef int answer = file_sync(log.file)
    if answer < 0:
        return answer
    us = (log.now_ns() - began_ns) // 1000
    log.sync_began_ns = began_ns
    log.synced = log.written
    add_own_u64(&log.syncs, 1)
    store_relaxed_u64(&log.sync_last_us, us)
    add_own_u64(&log.sync_total_us, us)
    if us > log.sync_max_us:
        store_relaxed_u64(&log.sync_max_us, us)
    return 0


cdef int zero_ahead(Log* log, uint64_t limit) noexcept nogil:
    """Writes zeros some way ahead of the records, in whole blocks; 0 or a negative errno.

    A sync of bytes in space that was allocated, but never written to, has to wait for the file system's journal as
    well. So this is paid once for many records, not at every sync.
    """
    cdef uint64_t segment_end = (log.segment + 1) * log.segment_bytes
    cdef uint64_t begin = log.zeroed if log.zeroed > log.written else log.written
    cdef uint64_t end = (limit + ZERO_AHEAD_BYTES) & ~<uint64_t> (ZERO_AHEAD_BYTES - 1)
    cdef int answer = 0
    if limit <= log.zeroed:
        return 0
    begin = (begin + DIRECT_BLOCK_BYTES - 1) & ~<uint64_t> (DIRECT_BLOCK_BYTES - 1)
    if end > segment_end:
        end = segment_end
    if begin < end:
        answer = file_write_zeros(log.file, end - begin, place_in_file(begin, log.segment_bytes))
    if answer == 0:
        log.zeroed = end
    return answer


cdef int write_piece(Log* log, bint always, const char* data, size_t size) noexcept nogil:
    """Writes `size` bytes, DIRECT_BYTES_MAX at most under `always`, behind those that are written; 0 or a negative
    errno."""
    cdef uint64_t place = place_in_file(log.written, log.segment_bytes)
    cdef int answer
    if not always or log.flush_usual_us >= DIRECT_FLUSH_US_MAX:
        direct_leave(&log.direct, log.file)
    elif direct_ready(&log.direct, log.file, place):
        answer = zero_ahead(log, log.written + size)
        if answer == 0:
            answer = direct_write(&log.direct, log.file, data, size, place)
        if answer != -EINVAL and answer != -EOPNOTSUPP:
            return answer
        direct_refuse(&log.direct, log.file)
    answer = zero_ahead(log, log.written + size) if always else 0
    return answer if answer < 0 else file_write_at(log.file, data, size, place)


cdef int write_out(Log* log, uint64_t limit) noexcept nogil:
    """Writes the ring up to `limit`, syncing each segment that becomes full; 0 or a negative errno. An error that is
    not a full disk, and every error of a sync, has broken the log."""
    cdef uint64_t segment_end, place, size
    cdef const LogRing* ring
    cdef bint always = load_ordered_u32(&log.policy) == LOG_ALWAYS
    cdef int answer
    while log.written < limit:
        segment_end = (log.segment + 1) * log.segment_bytes
        if log.written == segment_end:
            if log.synced < log.written:
                answer = sync_written(log)
                if answer < 0:
                    log_break(log, -answer)
                    return answer
                log_publish(log, log.boundary)
            answer = change_segment(log)
        else:
            ring = log_ring(log)
            place = log.written & (ring.bytes - 1)
            size = limit if limit < segment_end else segment_end
            size -= log.written
            if size > ring.bytes - place:
                size = ring.bytes - place
            if always and size > DIRECT_BYTES_MAX:
                size = DIRECT_BYTES_MAX
            answer = write_piece(log, always, ring.data + place, size)
            if answer == 0:
                store_ordered_u64(&log.written, log.written + size)
                add_own_u64(&log.writes, 1)
                log_give_room(log, log.written)
        if answer < 0:
            if not is_full_disk(answer):
                log_break(log, -answer)
            return answer
    return 0


cdef bint sync_is_due(Log* log, uint64_t now_ns) noexcept nogil:
    cdef uint32_t policy
    if log.boundary <= log.durable:
        return False
    policy = load_ordered_u32(&log.policy)
    if policy == LOG_ALWAYS or load_ordered_u32(&log.stopping) or load_ordered_u64(&log.wanted) > log.durable:
        return True
    return policy == LOG_EVERYSEC and now_ns - log.sync_began_ns >= LOG_SYNC_NS


cdef void note_age(Log* log, uint64_t now_ns) noexcept nogil:
    """Keeps unsynced_since_ns: what came before `now_ns` is durable, or the time stands."""
    if load_ordered_u64(&log.appended) == log.durable:
        store_ordered_u64(&log.unsynced_since_ns, 0)
    elif log.unsynced_since_ns == 0 or log.boundary <= log.durable:
        store_ordered_u64(&log.unsynced_since_ns, now_ns if now_ns != 0 else 1)


cdef uint64_t next_turn(Log* log, uint64_t now_ns) noexcept nogil:
    """In how many ns there is something to do again, if nobody appends."""
    cdef uint64_t since
    if log.state == LOG_BROKEN:
        return LOG_SLEEP_MAX_NS
    if log.state == LOG_FULL or load_ordered_u32(&log.next_state) == NEXT_FAILED:
        return LOG_RETRY_NS
    if log.boundary > log.durable and load_ordered_u32(&log.policy) == LOG_EVERYSEC:
        since = now_ns - log.sync_began_ns
        return LOG_SYNC_NS - since if since < LOG_SYNC_NS else 0
    return LOG_SLEEP_MAX_NS


cdef uint64_t log_flush_step(Log* log) noexcept nogil:
    cdef uint64_t began_ns = log.now_ns()
    cdef uint64_t now_ns = began_ns
    # Before `filled`: what lies between is no whole record yet.
    cdef uint64_t records = load_relaxed_u64(&log.records)
    cdef uint64_t complete = load_ordered_u64(&log.appended)
    cdef uint64_t filled = load_ordered_u64(&log.filled)
    cdef int answer
    log.wrote = False
    if filled < complete:
        filled = complete
    if log.state == LOG_BROKEN:
        log_give_room(log, filled)
        return LOG_SLEEP_MAX_NS
    note_age(log, now_ns)
    if filled > log.written:
        answer = write_out(log, filled)
        log.wrote = True
        if log.state == LOG_BROKEN:
            log_give_room(log, filled)
            return 0
        if answer < 0:
            set_full(log, -answer)
            return LOG_RETRY_NS
    # Also if nothing was written now: a record's last bytes may have come before its end was known.
    log.boundary = complete
    if sync_is_due(log, now_ns):
        now_ns = log.now_ns()
        answer = sync_written(log) if log.synced < log.written else 0
        if answer < 0:
            log_break(log, -answer)
            return 0
        log.crowd = load_relaxed_u64(&log.records) - log.covered
        log.covered = records
        log_note_flush(log, began_ns)
        log_publish(log, log.boundary)
        note_age(log, now_ns)
    prepare_in_time(log, now_ns)
    judge_room(log)
    return next_turn(log, now_ns)


# --- threads

cdef bint finished(Log* log) noexcept nogil:
    """After log_stop: whether there is nothing left that could be done."""
    if log.state != LOG_WORKING:
        return True
    return log.durable == load_ordered_u64(&log.appended)


cdef void log_flush_run(Log* log) noexcept nogil:
    cdef uint64_t ns
    while True:
        log_gather(log)
        ns = log_flush_step(log)
        if load_ordered_u32(&log.stopping):
            if finished(log):
                break
        elif log.state == LOG_FULL:
            futex_wait(&log.stopping, 0, LOG_RETRY_NS)
        elif ns != 0 and log.wrote and load_ordered_u32(&log.policy) != LOG_ALWAYS:
            log_sleep(log, PACING, ns if ns < LOG_PACE_NS else LOG_PACE_NS)
        elif ns != 0:
            log_sleep(log, SLEEPING, ns)
    log_end_gathering(log)
    store_ordered_u32(&log.ended, 1)
    log_tell_appenders(log)
    log_tell(log)


cdef void log_prepare_run(Log* log) noexcept nogil:
    cdef uint32_t state
    add_ordered_u32(&log.preparers, 1)
    while not load_ordered_u32(&log.stopping):
        state = load_ordered_u32(&log.next_state)
        if state == NEXT_WANTED:
            prepare(log)
            log_wake(log)
        elif state == NEXT_FAILED and is_full_disk(-<int> log.next_error):
            futex_wait(&log.stopping, 0, LOG_RETRY_NS)
            prepare(log)
            log_wake(log)
        else:
            futex_wait(&log.next_state, state, LOG_SLEEP_MAX_NS)
    add_ordered_u32(&log.preparers, <uint32_t> -1)


cdef void log_stop(Log* log) noexcept nogil:
    store_ordered_u32(&log.stopping, 1)
    futex_wake(&log.stopping)
    futex_wake(&log.next_state)
    log_wake(log)


cdef bint is_concluded(const Log* log, const LogPiece* conclusion) noexcept nogil:
    """Whether no record that was there before this one would be called durable by it for the first time."""
    return load_relaxed_u64(&log.records) == 0 and log.began - log.vouched <= record_space(conclusion.size)


cdef int log_close(Log* log, const LogPiece* conclusion, int64_t time_ms) noexcept nogil:
    cdef int answer
    log_stop(log)
    log_flush_run(log)
    answer = 0 if log.durable == load_relaxed_u64(&log.appended) else -<int> log.error
    if answer == 0 and conclusion != NULL and not is_concluded(log, conclusion):
        log_append(log, conclusion, 1, time_ms)
        log_flush_run(log)
    file_close(log.file)
    if log.next_state == NEXT_READY:
        file_close(log.next_file)
    direct_free(&log.direct)
    log_free(log)
    return answer
