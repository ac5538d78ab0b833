# cython: language_level=3
"""Fewer wake-ups for a busy reactor.

A reactor that is faster than its clients is woken for one or two of them at a time, and falling asleep and waking costs
it more than several commands; the client that wakes it pays too. So a reactor that is busy with many clients does not
wait for the next of them at once: it rests a moment, in which no client wakes it, and then serves all that have come.
Network cards moderate their interrupts in the same way, and for the same reason (adaptive interrupt coalescing).

    time   |<----------- window ----------->|<----------- window ----------->|
                                            ^ was it busy, with how many clients? then it rests in this one:
    turn   serve 3   wait   serve 2   wait   serve 7   rest   serve 14   wait   serve 5   rest
                                                                    ^ a quarter of the clients: no rest

A window is busy when the reactor served for 40 % of it, without waits and rests; once it rests, 25 % is enough, since
resting makes it less busy. Below CLIENTS_MIN clients it never rests: a few that wait for each reply would be slowed
down. Of many, most are not the ones that wait. A rest delays a command by wake-coalescing-us at most, and by nothing
when the reactor has time.

All functions run on the reactor's own thread.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.engine.platform cimport unlikely
from kvcy.server.sockets cimport epoll_event

cdef enum:
    WINDOW_US = 16384
    CLIENTS_MIN = 16

cdef struct Coalescing:
    int64_t began_us                     # the window
    int64_t woke_us                      # when the last wait was over
    int64_t served_us                    # in the window before that wait, without waits and rests
    uint32_t window                      # the window's number, by which a connection knows whether it is counted
    uint32_t clients                     # so many have been served in the window
    uint32_t enough                      # clients served in a turn, after which it does not rest; 0: it never rests
    uint32_t credit                      # that many polls may be in vain, in a window that is not busy
    uint64_t rests                       # since the start; written by the thread only, read relaxed
    uint64_t polls                       # as rests
    uint64_t crowded_until_ns            # monotonic: does not poll before

# Makes the thread's rests exact; and its timers as they were.
cdef void coalescing_begin() noexcept nogil
cdef void coalescing_end() noexcept nogil

# Ends the window and begins the next.
cdef void coalescing_next(Coalescing* self, int64_t now_us) noexcept nogil
# Rests for rest_us if the turn that served `clients` was too small, or until event_fd (-1: none) is readable: there is
# mail, as from the log when replies that waited for it may go. REQUIRES: holds nothing that others wait for.
cdef void coalescing_rest(Coalescing* self, uint32_t clients, uint64_t rest_us, int event_fd) noexcept nogil

# Where resting is not wanted: a reactor that would rest looks for events again and again for a moment, 20 us or
# most_us, before it falls asleep, so that those who come then need not wake it either. One with as many clients that
# is not as busy, since all of them wait for the disk by turns, does so as long as it pays: in each window it may be in
# vain four times, and once more for each time that an event came. In between it gives way to other threads; when one of
# them has kept the processor for long, it does without polling for a while. What epoll_wait answered; 0: no event has
# come, or it has not looked.
cdef int coalescing_poll(
    Coalescing* self, uint64_t most_us, int epoll_fd, epoll_event* events, int events_max) noexcept nogil


cdef inline void coalescing_wait(Coalescing* self, int64_t now_us) noexcept nogil:
    """The reactor is about to rest or to wait."""
    self.served_us += now_us - self.woke_us


cdef inline void coalescing_wake(Coalescing* self, int64_t now_us, bint waited) noexcept nogil:
    """A turn begins, after a wait or not. The clock may have jumped."""
    if waited:
        self.woke_us = now_us
    if unlikely(not 0 <= now_us - self.began_us < WINDOW_US):
        coalescing_next(self, now_us)
