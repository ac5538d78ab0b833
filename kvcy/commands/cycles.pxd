# cython: language_level=3
"""The processor's cycle counter, for timing commands: a clock call would cost as much as a GET. Inline C.

x86-64: rdtsc (constant rate on every processor of the last fifteen years); arm64: cntvct_el0; elsewhere the monotonic
clock in nanoseconds. service.pyx measures how long a tick is."""
from libc.stdint cimport uint64_t

from kvcy.engine.clock cimport monotonic_ns

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t kvcy_cycles(void) {
    #if defined(__x86_64__)
        return __builtin_ia32_rdtsc();
    #elif defined(__aarch64__)
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        return ticks;
    #else
        return kvcy_monotonic_ns();
    #endif
    }
    """
    uint64_t cycles "kvcy_cycles"() noexcept nogil
