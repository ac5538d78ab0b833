# cython: language_level=3
"""Sleeping until another thread changes a 32-bit word (Linux's futex), and the sequentially consistent atomics that go
with it: who is about to sleep says so and then looks once more whether there is something to do; who gives something to
do does so and then looks whether somebody sleeps. Both orders must hold for everybody. Everything here is inline C."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <limits.h>
    #include <linux/futex.h>
    #include <stdint.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    static inline void kvcy_futex_wait(uint32_t* word, uint32_t expected, int64_t timeout_ns) {
        struct timespec time = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        (void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &time, NULL, 0);
    }
    static inline void kvcy_futex_wake(uint32_t* word) {
        (void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    static inline int kvcy_cas_u32(uint32_t* place, uint32_t expected, uint32_t wanted) {
        return __atomic_compare_exchange_n(place, &expected, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    static inline void kvcy_raise_u64(uint64_t* place, uint64_t value) {
        uint64_t seen = __atomic_load_n(place, __ATOMIC_SEQ_CST);
        while (seen < value
               && !__atomic_compare_exchange_n(place, &seen, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    }
    #define KVCY_LOAD_SC(p)      __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define KVCY_STORE_SC(p, v)  __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
    #define KVCY_SWAP_SC(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
    #define KVCY_ADD_SC(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
    """
    # Returns when the word is not `expected`, after a wake-up, the timeout (negative: none), or for no reason.
    void futex_wait "kvcy_futex_wait"(uint32_t* word, uint32_t expected, int64_t timeout_ns) nogil
    void futex_wake "kvcy_futex_wake"(uint32_t* word) nogil                     # all who wait
    bint swap_if_u32 "kvcy_cas_u32"(uint32_t* place, uint32_t expected, uint32_t wanted) nogil
    void raise_u64 "kvcy_raise_u64"(uint64_t* place, uint64_t value) nogil      # to `value`, if that is more
    uint32_t load_ordered_u32 "KVCY_LOAD_SC"(const uint32_t*) nogil
    uint64_t load_ordered_u64 "KVCY_LOAD_SC"(const uint64_t*) nogil
    void store_ordered_u32 "KVCY_STORE_SC"(uint32_t*, uint32_t) nogil
    void store_ordered_u64 "KVCY_STORE_SC"(uint64_t*, uint64_t) nogil
    uint32_t swap_ordered_u32 "KVCY_SWAP_SC"(uint32_t*, uint32_t) nogil
    uint64_t swap_ordered_u64 "KVCY_SWAP_SC"(uint64_t*, uint64_t) nogil
    uint32_t add_ordered_u32 "KVCY_ADD_SC"(uint32_t*, uint32_t) nogil
    uint64_t add_ordered_u64 "KVCY_ADD_SC"(uint64_t*, uint64_t) nogil
