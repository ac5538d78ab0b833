# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Fewer wake-ups for a busy reactor: see coalescing.pxd."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.time cimport timespec
from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.platform cimport add_own_u64
from kvcy.server.sockets cimport epoll_event, epoll_wait

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <poll.h>
    """
    cdef struct pollfd:
        int fd
        short events
        short revents
    short POLLIN
    int ppoll(pollfd* fds, unsigned long count, const timespec* timeout, const void* signals) nogil

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int option, unsigned long value)
    int PR_SET_TIMERSLACK

cdef enum:
    SLACK_NS = 1000
    PERCENT_TO_BEGIN = 40                # of the window, in which it served
    PERCENT_TO_GO_ON = 25
    ENOUGH_PART = 4                      # of the window's clients
    POLL_US_MAX = 20                     # about two requests of a busy client
    POLLS_TRIED = 4                      # in each window
    YIELD_NS_MAX = 1000000
    CROWDED_NS = 1000000000              # so long it does not poll when it got the processor back later than that


cdef void coalescing_begin() noexcept nogil:
    prctl(PR_SET_TIMERSLACK, SLACK_NS)


cdef void coalescing_end() noexcept nogil:
    prctl(PR_SET_TIMERSLACK, 0)                      # the thread's default again


cdef void coalescing_next(Coalescing* self, int64_t now_us) noexcept nogil:
    cdef int64_t percent = PERCENT_TO_GO_ON if self.enough else PERCENT_TO_BEGIN
    cdef int64_t served_us = self.served_us + now_us - self.woke_us
    if self.clients >= CLIENTS_MIN and served_us * 100 >= (now_us - self.began_us) * percent:
        self.enough = self.clients // ENOUGH_PART
    else:
        self.enough = 0
    self.credit = POLLS_TRIED if self.clients >= CLIENTS_MIN else 0
    self.began_us = now_us
    self.woke_us = now_us
    self.served_us = 0
    self.window += 1
    self.clients = 0


cdef void coalescing_rest(Coalescing* self, uint32_t clients, uint64_t rest_us, int event_fd) noexcept nogil:
    cdef pollfd event
    cdef timespec rest
    if clients >= self.enough or rest_us == 0:
        return
    rest.tv_sec = <long> (rest_us // 1000000)
    rest.tv_nsec = <long> (rest_us % 1000000) * 1000
    event.fd = event_fd
    event.events = POLLIN
    ppoll(&event, 1, &rest, NULL)                    # ends early on a signal, which is fine
    add_own_u64(&self.rests, 1)


cdef int coalescing_poll(
        Coalescing* self, uint64_t most_us, int epoll_fd, epoll_event* events, int events_max) noexcept nogil:
    cdef uint64_t now_ns, until_ns, yielded_ns
    cdef int count
    if (self.enough == 0 and self.credit == 0) or most_us == 0:
        return 0
    now_ns = monotonic_ns()
    if now_ns < self.crowded_until_ns:
        return 0
    until_ns = now_ns + min(most_us, <uint64_t> POLL_US_MAX) * 1000
    add_own_u64(&self.polls, 1)
    while True:
        count = epoll_wait(epoll_fd, events, events_max, 0)
        yielded_ns = monotonic_ns()
        if count != 0:
            self.credit += 1
            return count
        if yielded_ns >= until_ns:
            self.credit -= self.credit > 0
            return 0
        sched_yield()                                # the log's flusher, and the system's for the disk, may be due here
        now_ns = monotonic_ns()
        if now_ns - yielded_ns > YIELD_NS_MAX:       # somebody else wants the processor, and would get it each time
            self.crowded_until_ns = now_ns + CROWDED_NS
            return 0
