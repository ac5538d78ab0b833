# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Upkeep: what the engine leaves to be done off the hot path, in a thread that sleeps in between.

Removes keys when they expire, frees what was replaced once all threads have passed a quiet point, goes on with growth
in slices, gives back memory, evicts what commands left to evict. It sleeps until the next key expires, PAUSE_MS at
most: a key that is given less than that to live may be as late. Where much is due at once, it works for a
tenth of the time, so that others hardly meet it; where that is not enough, for half of it.
The process's malloc is told to give large blocks and the top of its heap back to the system as soon as they are free.
"""
from libc.stdint cimport int64_t, uint64_t

from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close, write

from kvcy._core cimport Store
from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.eviction cimport eviction_upkeep
from kvcy.engine.expiry cimport keyspace_expire
from kvcy.engine.whole cimport keyspace_upkeep
from kvcy.engine.memory cimport memory_set_patient
from kvcy.engine.platform cimport load_relaxed_u64
from kvcy.engine.quiet cimport quiet_reclaim

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    int EFD_CLOEXEC

cdef extern from "<poll.h>" nogil:
    cdef struct pollfd:
        int fd
        short events
    int poll(pollfd* fds, unsigned long count, int timeout_ms)
    short POLLIN

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    /* Both are fixed thresholds once set. Left alone, glibc raises them to the largest block ever freed and then keeps
       as much. */
    static void kvcy_return_memory_early(void) {
        mallopt(M_MMAP_THRESHOLD, 256 * 1024);
        mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    }
    #else
    static void kvcy_return_memory_early(void) {}
    #endif
    """
    void return_memory_early "kvcy_return_memory_early"() nogil

cdef enum:
    PAUSE_MS = 100
    BUSY_PAUSE_MS = 1            # while there is more to do
    EXPIRE_WORK_NS = 100000      # between two pauses
    EXPIRE_LAG_MS = 30           # keys that are removed so late
    EXPIRE_WORK_NS_LATE = 1000000    # make it work for longer
    SLICES = 32
    RECLAIM_MAX = 64


cdef inline int64_t monotonic_ms() noexcept nogil:
    return <int64_t> (monotonic_ns() // 1000000)


cdef class Upkeep:
    """Looks after a store until stopped; run() belongs into a thread of its own."""
    cdef Store store
    cdef int stop_fd

    def __cinit__(self, Store store not None):
        self.store = store
        self.stop_fd = eventfd(0, EFD_CLOEXEC)
        if self.stop_fd < 0:
            raise OSError("no eventfd to be had")

    def __dealloc__(self):
        if self.stop_fd >= 0:
            close(self.stop_fd)

    def run(self) -> None:
        """Returns when stopped."""
        return_memory_early()
        with nogil:
            memory_set_patient(True)
            self.work()
            memory_set_patient(False)

    cdef void work(self) noexcept nogil:
        cdef pollfd stopped
        cdef timespec now
        cdef int64_t now_ms
        cdef int64_t expire_ms = 0           # when keys are next due, Unix time
        cdef int64_t tidy_ms = 0             # when the rest is next to be done, monotonic
        cdef int64_t pause_ms = 0
        cdef bint late, more
        stopped.fd = self.stop_fd
        stopped.events = POLLIN
        while poll(&stopped, 1, <int> pause_ms) <= 0:      # ends: stop() makes it readable
            clock_gettime(CLOCK_REALTIME, &now)
            now_ms = <int64_t> now.tv_sec * 1000 + now.tv_nsec // 1000000
            late = load_relaxed_u64(&self.store.keyspace.expire_lag.last_ms) > EXPIRE_LAG_MS
            expire_ms = keyspace_expire(
                self.store.keyspace, now_ms, EXPIRE_WORK_NS_LATE if late else EXPIRE_WORK_NS)
            if monotonic_ms() >= tidy_ms:
                more = keyspace_upkeep(self.store.keyspace, now_ms, SLICES)
                more |= quiet_reclaim(RECLAIM_MAX) == RECLAIM_MAX
                more |= eviction_upkeep(self.store.keyspace, now_ms)
                tidy_ms = monotonic_ms() + (BUSY_PAUSE_MS if more else PAUSE_MS)
            pause_ms = max(min(expire_ms - now_ms, tidy_ms - monotonic_ms()), <int64_t> BUSY_PAUSE_MS)

    def stop(self) -> None:
        cdef uint64_t one = 1
        if write(self.stop_fd, &one, sizeof(one)) < 0:
            raise OSError("the upkeep could not be stopped")
