# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The flusher's sleep. See log_sleep.pxd.

GIVING WAY. When the disk is done, its interrupt wakes the flusher, which the system lets push aside whoever runs on
that processor: most often a reactor in the midst of what the next sync is for. And it is the processor with the
interrupt, often the one that the clients have, which pays for telling the other. Where flushes are short and serve many
records, the reactors are busy, and give way every few microseconds when they poll (coalescing.pxd). So there the
flusher is a thread that pushes nobody aside (SCHED_BATCH). That is worth 3 % with 50 clients where the server has one
processor. But if somebody else wants that processor too, the flusher would wait for a whole slice of his each time: so
after a flush that took two milliseconds, for whatever reason, it does without for a second.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.futex cimport futex_wait, load_ordered_u32, load_ordered_u64, store_ordered_u32
from kvcy.engine.log cimport AWAKE, GATHERING, LOG_ALWAYS, LOG_BROKEN, LOG_WORKING, SLEEPING
from kvcy.engine.platform cimport load_relaxed_u64, store_relaxed_u64

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <sched.h>
    #include <string.h>
    /* Whether the calling thread's policy was `from`, and is `to` now. */
    static int kvcy_change_policy(int from, int to) {
        struct sched_param parameters;
        memset(&parameters, 0, sizeof(parameters));
        return sched_getscheduler(0) == from && sched_setscheduler(0, to, &parameters) == 0;
    }
    """
    int SCHED_OTHER, SCHED_BATCH
    bint kvcy_change_policy(int before, int after) nogil

cdef enum:
    CROWD_FLUSH_US_SHORT = 250      # flushes (a write and its sync) that take less are to serve two thirds of a crowd
    CROWD_FLUSH_US_LONG = 500       # those that take more, all of it; those in between, half of it
    VAIN_MIN = 3                    # in vain so often in a row: the next 1 << vain syncs are not waited for
    VAIN_MAX = 6
    GIVE_WAY_CROWD_MIN = 16
    GIVE_WAY_US_MAX = 2000          # of a flush; one that took longer may have been made to wait
    PUSH_NS = 1000000000            # so long it does not give way then


cdef bint has_work(Log* log, uint32_t kind) noexcept nogil:
    """Whether the flusher must not fall asleep: what a wake-up of this kind could have been for has come already."""
    cdef uint64_t appended = load_ordered_u64(&log.appended)
    if load_ordered_u32(&log.stopping):
        return True
    if load_ordered_u32(&log.room_wanted) and load_ordered_u64(&log.filled) > log.taken:
        return True
    if log.state == LOG_BROKEN:
        return False
    if load_ordered_u64(&log.wanted) > log.durable or appended - log.taken > log.first.bytes >> 1:
        return True
    return kind == SLEEPING and appended > log.written


cdef void log_sleep(Log* log, uint32_t kind, uint64_t ns) noexcept nogil:
    store_ordered_u32(&log.sleeping, kind)
    if not has_work(log, kind):
        futex_wait(&log.sleeping, kind, <int64_t> ns)
    store_ordered_u32(&log.sleeping, AWAKE)


# --- expecting

cdef void log_note_flush(Log* log, uint64_t began_ns) noexcept nogil:
    """Keeps flush_usual_us near the median, which a few that took long for once do not move."""
    cdef uint64_t now_ns = log.now_ns()
    cdef uint64_t us = (now_ns - began_ns) // 1000
    cdef uint64_t step = log.flush_usual_us // 8 + 1
    if log.gives_way and us > GIVE_WAY_US_MAX:
        log.push_until_ns = now_ns + PUSH_NS
    if log.flush_usual_us == 0:
        log.flush_usual_us = us
    elif us > log.flush_usual_us:
        log.flush_usual_us += step
    elif us < log.flush_usual_us:
        log.flush_usual_us -= step


cdef bint crowd_is_expected(Log* log) noexcept nogil:
    """Whether to wait for more records before the next sync, and for how many: log.awaited.

    Under `always`, those who got their replies after the last sync come back soon, and those who came meanwhile wait
    already: together they were `crowd`. Where a sync takes long, one for all of them serves more than one for each
    half. Where it does not, a part of them is enough, and the others come meanwhile: as few as keep the clients busy
    until it is over, since what a sync costs the processors is shared by those that it serves. Who is alone is served
    at once.
    """
    cdef uint64_t records = load_relaxed_u64(&log.records)
    cdef uint64_t wanted = log.crowd
    if log.flush_usual_us < CROWD_FLUSH_US_SHORT:
        wanted = wanted * 2 // 3
    elif log.flush_usual_us < CROWD_FLUSH_US_LONG:
        wanted //= 2
    store_relaxed_u64(&log.awaited, log.covered + wanted)
    return log.covered < records < log.covered + wanted


cdef void wait_for_crowd(Log* log, uint64_t now_ns) noexcept nogil:
    cdef uint64_t most_us = log.flush_usual_us
    cdef uint64_t until_ns
    if log.hasty != 0:
        log.hasty -= 1
        return
    if most_us < CROWD_FLUSH_US_SHORT:
        most_us += most_us // 2
    until_ns = now_ns + most_us * 1000
    store_ordered_u32(&log.sleeping, GATHERING)
    while now_ns < until_ns and crowd_is_expected(log) and not has_work(log, GATHERING):
        futex_wait(&log.sleeping, GATHERING, <int64_t> (until_ns - now_ns))
        now_ns = log.now_ns()
    store_ordered_u32(&log.sleeping, AWAKE)
    log.vain = min(log.vain + 1, <uint32_t> VAIN_MAX) if crowd_is_expected(log) else 0
    if log.vain >= VAIN_MIN:
        log.hasty = <uint32_t> 1 << log.vain


# --- giving way

cdef void give_way(Log* log, uint64_t now_ns) noexcept nogil:
    """Lets the thread push nobody aside, or again whom it may."""
    cdef bint wanted = log.crowd >= GIVE_WAY_CROWD_MIN and log.flush_usual_us < CROWD_FLUSH_US_SHORT
    if now_ns < log.push_until_ns:
        wanted = False
    if wanted and not log.gives_way:
        log.gives_way = kvcy_change_policy(SCHED_OTHER, SCHED_BATCH)
        if not log.gives_way:
            log.push_until_ns = <uint64_t> -1       # who started the server has chosen another policy, or forbids this
    elif log.gives_way and not wanted:
        log_end_gathering(log)


cdef void log_end_gathering(Log* log) noexcept nogil:
    if log.gives_way:
        kvcy_change_policy(SCHED_BATCH, SCHED_OTHER)
        log.gives_way = False


cdef void log_gather(Log* log) noexcept nogil:
    cdef uint64_t now_ns
    if load_ordered_u32(&log.policy) != LOG_ALWAYS or log.state != LOG_WORKING or load_ordered_u32(&log.stopping):
        log_end_gathering(log)
        return
    now_ns = log.now_ns()
    give_way(log, now_ns)
    if crowd_is_expected(log):
        wait_for_crowd(log, now_ns)
