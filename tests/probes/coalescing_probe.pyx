# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""server/coalescing.pxd for the tests."""
from libc.string cimport memset

from kvcy.server.coalescing cimport (
    CLIENTS_MIN, WINDOW_US, Coalescing, coalescing_next, coalescing_poll, coalescing_rest, coalescing_wait,
    coalescing_wake)
from kvcy.server.sockets cimport epoll_event

FEWEST_CLIENTS = CLIENTS_MIN
WINDOW = WINDOW_US


cdef class CoalescingProbe:
    """A reactor's decisions, with times given by hand; the first window begins at 1 s."""
    cdef Coalescing coalescing
    cdef long long now_us

    def __cinit__(self):
        memset(&self.coalescing, 0, sizeof(Coalescing))
        self.now_us = 1000000
        coalescing_next(&self.coalescing, self.now_us)

    def pass_window(self, int clients, int busy_percent, int length_us=WINDOW_US) -> int:
        """Serves so many clients in a window, in two turns that take a part of it; what is enough for a turn of the
        next."""
        cdef long long end_us = self.now_us + length_us
        cdef long long busy_us = (abs(length_us) * busy_percent + 99) // 100
        self.coalescing.clients = clients
        coalescing_wait(&self.coalescing, self.now_us + busy_us // 2)
        coalescing_wake(&self.coalescing, end_us - (busy_us - busy_us // 2), True)
        coalescing_wake(&self.coalescing, end_us, False)
        assert self.coalescing.clients == 0
        self.now_us = end_us
        return self.coalescing.enough

    def rest(self, unsigned int clients, unsigned long long rest_us, int event_fd=-1) -> bool:
        """Whether it rests after a turn that served so many."""
        cdef unsigned long long before = self.coalescing.rests
        with nogil:
            coalescing_rest(&self.coalescing, clients, rest_us, event_fd)
        return self.coalescing.rests == before + 1

    def poll(self, unsigned long long most_us, int epoll_fd) -> tuple[int, bool]:
        """What it finds, and whether it has looked."""
        cdef epoll_event events[4]
        cdef unsigned long long before = self.coalescing.polls
        cdef int found
        with nogil:
            found = coalescing_poll(&self.coalescing, most_us, epoll_fd, events, 4)
        return found, self.coalescing.polls == before + 1
