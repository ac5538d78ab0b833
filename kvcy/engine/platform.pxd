# cython: language_level=3
"""What the compiler and the processor give: atomics, prefetch, assertions. Everything here is inline C.

Memory ordering: a value published to other threads is written with `store_release` and read with
`load_acquire`; counters and hints use the relaxed forms. Nothing in the engine relies on more than that, the
reader-writer lock (rwlock.pxd) excepted, which says so itself.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    /* With assertions off the condition still counts as a use of its operands, but is not evaluated. */
    #include <assert.h>
    #include <stdint.h>
    #include <string.h>
    #ifdef NDEBUG
    #define KVCY_INVARIANT(holds)     ((void) sizeof((holds) ? 1 : 0))
    #else
    #define KVCY_INVARIANT(holds)     assert(holds)
    #endif
    #define KVCY_LOAD_RELAXED(p)      __atomic_load_n((p), __ATOMIC_RELAXED)
    #define KVCY_STORE_RELAXED(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELAXED)
    #define KVCY_LOAD_ACQUIRE(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define KVCY_STORE_RELEASE(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define KVCY_ADD_OWN(p, v)        __atomic_store_n((p), *(p) + (v), __ATOMIC_RELAXED)
    #define KVCY_ADD_RELAXED(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)
    #define KVCY_ADD_ACQ_REL(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
    #define KVCY_LIKELY(x)            __builtin_expect(!!(x), 1)
    #define KVCY_UNLIKELY(x)          __builtin_expect(!!(x), 0)
    static inline uint32_t kvcy_big_u32(const void* at) {
        uint32_t value;
        memcpy(&value, at, sizeof value);
        return __builtin_bswap32(value);
    }
    static inline uint64_t kvcy_big_u64(const void* at) {
        uint64_t value;
        memcpy(&value, at, sizeof value);
        return __builtin_bswap64(value);
    }
    """
    void invariant "KVCY_INVARIANT"(bint holds) nogil
    uint32_t load_relaxed_u32 "KVCY_LOAD_RELAXED"(const uint32_t*) nogil
    uint64_t load_relaxed_u64 "KVCY_LOAD_RELAXED"(const uint64_t*) nogil
    int64_t load_relaxed_i64 "KVCY_LOAD_RELAXED"(const int64_t*) nogil
    void store_relaxed_u32 "KVCY_STORE_RELAXED"(uint32_t*, uint32_t) nogil
    void store_relaxed_u64 "KVCY_STORE_RELAXED"(uint64_t*, uint64_t) nogil
    void store_relaxed_i64 "KVCY_STORE_RELAXED"(int64_t*, int64_t) nogil
    uint32_t load_acquire_u32 "KVCY_LOAD_ACQUIRE"(const uint32_t*) nogil
    uint64_t load_acquire_u64 "KVCY_LOAD_ACQUIRE"(const uint64_t*) nogil
    void store_release_u32 "KVCY_STORE_RELEASE"(uint32_t*, uint32_t) nogil
    void store_release_u64 "KVCY_STORE_RELEASE"(uint64_t*, uint64_t) nogil
    # To a word that nobody else changes meanwhile, and others read relaxed.
    void add_own_u64 "KVCY_ADD_OWN"(uint64_t*, uint64_t) nogil
    uint32_t add_relaxed_u32 "KVCY_ADD_RELAXED"(uint32_t*, uint32_t) nogil
    uint64_t add_relaxed_u64 "KVCY_ADD_RELAXED"(uint64_t*, uint64_t) nogil
    int64_t add_relaxed_i64 "KVCY_ADD_RELAXED"(int64_t*, int64_t) nogil
    uint32_t add_acq_rel_u32 "KVCY_ADD_ACQ_REL"(uint32_t*, uint32_t) nogil
    bint likely "KVCY_LIKELY"(bint) nogil
    bint unlikely "KVCY_UNLIKELY"(bint) nogil
    void prefetch "__builtin_prefetch"(const void*) nogil
    uint32_t load_big_u32 "kvcy_big_u32"(const void*) nogil      # first byte first, at any address
    uint64_t load_big_u64 "kvcy_big_u64"(const void*) nogil
