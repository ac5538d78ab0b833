# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The contended paths of the reader-writer lock and of the leaf spin lock. See rwlock.pxd.

Whoever waits looks SPINS_MAX times with a pause between (the locks are held for well under a microsecond), then yields
the processor YIELDS_MAX times (the holder may be waiting for it), then sleeps SLEEP_NS between looks.

Phases: a reader that comes while a writer is inside is counted at once and is in when the writer leaves, before any
other writer, since a writer enters only when nobody is counted. A reader that comes while a writer waits steps back
until a writer has entered (the phase flips), then counts itself in: it waits for one writer, not for all that come.
"""
from libc.stdint cimport uint32_t

from kvcy.engine.clock cimport pause_ns
from kvcy.engine.platform cimport invariant, load_acquire_u32, load_relaxed_u32

cdef extern from *:
    """
    #include <sched.h>
    #if defined(__x86_64__) || defined(__i386__)
    #define kvcy_cpu_relax() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define kvcy_cpu_relax() __asm__ __volatile__("yield" ::: "memory")
    #else
    #define kvcy_cpu_relax() ((void) 0)
    #endif
    """
    void cpu_relax "kvcy_cpu_relax"() nogil
    int sched_yield() nogil

cdef enum:
    SPINS_MAX = 100
    YIELDS_MAX = 64
    SLEEP_NS = 20000


cdef void back_off(uint32_t* turns) noexcept nogil:
    if turns[0] < SPINS_MAX:
        cpu_relax()
    elif turns[0] < SPINS_MAX + YIELDS_MAX:
        sched_yield()
    else:
        pause_ns(SLEEP_NS)
        return
    turns[0] += 1


cdef void rwlock_read_slow(RWLock* lock, uint32_t word) noexcept nogil:
    """REQUIRES: the caller has counted itself in; `word` is what it found before."""
    cdef uint32_t turns = 0
    cdef uint32_t phase = word & RWLOCK_PHASE
    invariant((word & (RWLOCK_WRITER | RWLOCK_WAITING)) != 0)
    invariant((word & RWLOCK_READERS) < RWLOCK_READERS)
    if not (word & RWLOCK_WRITER):
        # A writer waits for readers: step back for it, until one has entered or none waits any more.
        fetch_add_release_u32(&lock.word, <uint32_t> -1)
        while True:
            word = load_relaxed_u32(&lock.word)
            if (word & RWLOCK_PHASE) != phase or not (word & RWLOCK_WAITING):
                break
            back_off(&turns)
        word = fetch_add_acquire_u32(&lock.word, 1)
    while word & RWLOCK_WRITER:
        back_off(&turns)
        word = load_acquire_u32(&lock.word)
    invariant((load_relaxed_u32(&lock.word) & RWLOCK_READERS) != 0)


cdef void rwlock_write_slow(RWLock* lock) noexcept nogil:
    cdef uint32_t turns = 0
    cdef uint32_t word
    while True:
        word = load_relaxed_u32(&lock.word)
        if (word & (RWLOCK_WRITER | RWLOCK_READERS)) == 0:
            # Entering takes the waiting bit away; other waiting writers set it again.
            if cas_acquire_u32(&lock.word, word, ((word & RWLOCK_PHASE) ^ RWLOCK_PHASE) | RWLOCK_WRITER):
                break
            continue
        if not (word & RWLOCK_WAITING):
            fetch_or_relaxed_u32(&lock.word, RWLOCK_WAITING)
        back_off(&turns)
    invariant((load_relaxed_u32(&lock.word) & RWLOCK_WRITER) != 0)


cdef void spin_lock_slow(uint32_t* word) noexcept nogil:
    cdef uint32_t turns = 0
    while True:
        if load_relaxed_u32(word) == 0 and swap_acquire_u32(word, 1) == 0:
            return
        back_off(&turns)
