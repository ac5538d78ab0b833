# cython: language_level=3
"""The monotonic clock, and pauses by it. Inline C."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>
    static inline uint64_t kvcy_monotonic_ns(void) {
        struct timespec now;
        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
    }
    static inline void kvcy_pause_ns(uint64_t ns) {
        struct timespec pause = {(time_t) (ns / 1000000000u), (long) (ns % 1000000000u)};
        (void) nanosleep(&pause, NULL);
    }
    """
    void pause_ns "kvcy_pause_ns"(uint64_t ns) noexcept nogil       # less, if a signal comes
    uint64_t monotonic_ns "kvcy_monotonic_ns"() noexcept nogil
