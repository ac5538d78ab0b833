# cython: language_level=3
"""The reader-writer lock of a shard: one 32-bit word, spinning briefly and then yielding the processor.

THE RULE OF ENGINE LOCKS (cited elsewhere):
  * A thread takes shard locks in rising shard index and never takes one below or equal to one it holds.
  * A thread that holds a shard lock takes no other lock but the leaf locks (page pool, garbage list), calls
    nothing that may block, and never waits for the GIL. One exception: a snapshot made in the process without a log
    (snapshot.pxd) writes its file under the shared locks of all shards, so that the file is the state of one moment:
    readers go on, writers wait until it is written.
  * A thread that holds the GIL may try a shard lock (`rwlock_try_*`) but not wait for one.
Ordering: taking is an acquire, releasing a release, so all that was done under the lock is seen by the next holder.
Fairness: a waiting writer stops new readers from entering; a writer that leaves lets those readers in first.

    bit   31      30       29     28..0
         writer  waiting  phase  readers

`readers` counts who reads and, while `writer` is set, who waits to read and will be in as soon as the writer leaves.
`waiting`: a writer waits, so a new reader steps back until the phase has changed. `phase` flips when a writer enters.
"""
from libc.stdint cimport uint32_t
from kvcy.engine.platform cimport invariant, likely, load_relaxed_u32

cdef extern from *:
    """
    #include <stdbool.h>
    #define KVCY_FETCH_ADD_ACQUIRE(p, v)  __atomic_fetch_add((p), (v), __ATOMIC_ACQUIRE)
    #define KVCY_FETCH_ADD_RELEASE(p, v)  __atomic_fetch_add((p), (v), __ATOMIC_RELEASE)
    #define KVCY_FETCH_OR_RELAXED(p, v)   __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
    #define KVCY_SWAP_ACQUIRE(p, v)       __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
    static inline bool kvcy_cas_acquire(uint32_t* place, uint32_t expected, uint32_t wanted) {
        return __atomic_compare_exchange_n(place, &expected, wanted, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }
    """
    uint32_t fetch_add_acquire_u32 "KVCY_FETCH_ADD_ACQUIRE"(uint32_t*, uint32_t) nogil
    uint32_t fetch_add_release_u32 "KVCY_FETCH_ADD_RELEASE"(uint32_t*, uint32_t) nogil
    uint32_t fetch_or_relaxed_u32 "KVCY_FETCH_OR_RELAXED"(uint32_t*, uint32_t) nogil
    uint32_t swap_acquire_u32 "KVCY_SWAP_ACQUIRE"(uint32_t*, uint32_t) nogil
    bint cas_acquire_u32 "kvcy_cas_acquire"(uint32_t*, uint32_t expected, uint32_t wanted) nogil

cdef enum:
    RWLOCK_READERS = 0x1FFFFFFF

cdef extern from *:        # as macros: they do not fit a C enum of type int
    """
    #define KVCY_RWLOCK_WRITER   0x80000000u
    #define KVCY_RWLOCK_WAITING  0x40000000u
    #define KVCY_RWLOCK_PHASE    0x20000000u
    """
    const uint32_t RWLOCK_WRITER "KVCY_RWLOCK_WRITER"
    const uint32_t RWLOCK_WAITING "KVCY_RWLOCK_WAITING"
    const uint32_t RWLOCK_PHASE "KVCY_RWLOCK_PHASE"

cdef struct RWLock:
    uint32_t word          # zero: free

# The contended paths of rwlock_read and rwlock_write.
cdef void rwlock_read_slow(RWLock* lock, uint32_t word) noexcept nogil
cdef void rwlock_write_slow(RWLock* lock) noexcept nogil
# Waits a little for another thread; the longer the more often it was called with the same `turns`, 0 at first.
cdef void back_off(uint32_t* turns) noexcept nogil
# A leaf lock: spins, then yields. `word` is zero when free.
cdef void spin_lock_slow(uint32_t* word) noexcept nogil


cdef inline bint rwlock_try_read(RWLock* lock) noexcept nogil:
    cdef uint32_t word = load_relaxed_u32(&lock.word)
    if word & (RWLOCK_WRITER | RWLOCK_WAITING):
        return False
    word = fetch_add_acquire_u32(&lock.word, 1)
    if likely((word & (RWLOCK_WRITER | RWLOCK_WAITING)) == 0):
        return True
    fetch_add_release_u32(&lock.word, <uint32_t> -1)
    return False


cdef inline bint rwlock_try_write(RWLock* lock) noexcept nogil:
    cdef uint32_t word = load_relaxed_u32(&lock.word)
    if word & ~RWLOCK_PHASE:
        return False
    return cas_acquire_u32(&lock.word, word, (word ^ RWLOCK_PHASE) | RWLOCK_WRITER)


cdef inline void rwlock_read(RWLock* lock) noexcept nogil:
    cdef uint32_t word = fetch_add_acquire_u32(&lock.word, 1)
    if not likely((word & (RWLOCK_WRITER | RWLOCK_WAITING)) == 0):
        rwlock_read_slow(lock, word)


cdef inline void rwlock_write(RWLock* lock) noexcept nogil:
    if not likely(rwlock_try_write(lock)):
        rwlock_write_slow(lock)


cdef inline void rwlock_read_done(RWLock* lock) noexcept nogil:
    invariant((load_relaxed_u32(&lock.word) & RWLOCK_READERS) != 0)
    invariant((load_relaxed_u32(&lock.word) & RWLOCK_WRITER) == 0)
    fetch_add_release_u32(&lock.word, <uint32_t> -1)


cdef inline void rwlock_write_done(RWLock* lock) noexcept nogil:
    invariant((load_relaxed_u32(&lock.word) & RWLOCK_WRITER) != 0)
    fetch_add_release_u32(&lock.word, RWLOCK_WRITER)     # carries out of the word: clears the bit


cdef inline void spin_lock(uint32_t* word) noexcept nogil:
    """Takes a leaf lock. REQUIRES: it is held for a few hundred instructions at most."""
    if not likely(swap_acquire_u32(word, 1) == 0):
        spin_lock_slow(word)


cdef inline void spin_unlock(uint32_t* word) noexcept nogil:
    invariant(load_relaxed_u32(word) == 1)
    fetch_add_release_u32(word, <uint32_t> -1)
