# cython: language_level=3
"""The reader-writer lock of a shard: one 32-bit word, spinning briefly and then yielding the processor.

THE RULE OF ENGINE LOCKS (cited elsewhere):
  * A thread takes shard locks in rising shard index and never takes one below or equal to one it holds.
  * A thread that holds a shard lock takes no other lock but the leaf locks (page pool, garbage list), calls
    nothing that may block, and never waits for the GIL.
  * A thread that holds the GIL may try a shard lock (`rwlock_try_*`) but not wait for one.
Ordering: taking is an acquire, releasing a release, so all that was done under the lock is seen by the next holder.
Fairness: a waiting writer stops new readers from entering; a writer that leaves lets those readers in first.
"""
from libc.stdint cimport uint32_t

cdef struct RWLock:
    uint32_t word

cdef bint rwlock_try_read(RWLock* lock) noexcept nogil
cdef bint rwlock_try_write(RWLock* lock) noexcept nogil
cdef void rwlock_read(RWLock* lock) noexcept nogil
cdef void rwlock_write(RWLock* lock) noexcept nogil
cdef void rwlock_read_done(RWLock* lock) noexcept nogil
cdef void rwlock_write_done(RWLock* lock) noexcept nogil
