# cython: language_level=3
"""The monotonic clock. Inline C."""
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
    """
    uint64_t monotonic_ns "kvcy_monotonic_ns"() noexcept nogil
