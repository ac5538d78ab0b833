# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Fewer wake-ups for a busy reactor: see coalescing.pxd."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.time cimport timespec
from kvcy.engine.platform cimport add_own_u64

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

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int option, unsigned long value)
    int PR_SET_TIMERSLACK

cdef enum:
    SLACK_NS = 1000
    PERCENT_TO_BEGIN = 40                # of the window, in which it served
    PERCENT_TO_GO_ON = 25
    ENOUGH_PART = 4                      # of the window's clients


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
