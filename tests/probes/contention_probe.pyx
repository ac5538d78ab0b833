# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What taking a shard's lock costs, alone and against others: for benchmarks/many_threads.py."""
from libc.stdint cimport uint64_t

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.rwlock cimport RWLock, rwlock_read, rwlock_read_done, rwlock_write, rwlock_write_done

cdef enum:
    BUCKETS = 40                     # powers of two of nanoseconds


cdef class Contended:
    """A lock for several threads."""
    cdef RWLock lock
    cdef uint64_t guarded

    def uncontended_ns(self, bint write, uint64_t count) -> float:
        """The time of one taking and one release together, on average."""
        cdef uint64_t began = monotonic_ns()
        with nogil:
            for _ in range(count):
                if write:
                    rwlock_write(&self.lock)
                    rwlock_write_done(&self.lock)
                else:
                    rwlock_read(&self.lock)
                    rwlock_read_done(&self.lock)
        return (monotonic_ns() - began) / <double> count

    def waits(self, bint write, uint64_t count, uint64_t work) -> dict:
        """Takes the lock `count` times, for `work` steps, and as many without it: {upper bound in ns: how often}."""
        cdef uint64_t[40] buckets
        cdef uint64_t began, ns
        cdef int bucket
        for bucket in range(BUCKETS):
            buckets[bucket] = 0
        with nogil:
            for _ in range(count):
                began = monotonic_ns()
                if write:
                    rwlock_write(&self.lock)
                else:
                    rwlock_read(&self.lock)
                ns = monotonic_ns() - began
                bucket = 0
                while ns > 1 and bucket < BUCKETS - 1:
                    ns >>= 1
                    bucket += 1
                buckets[bucket] += 1
                if write:
                    self.guarded += spend(work)
                    rwlock_write_done(&self.lock)
                else:
                    spend(work + (self.guarded & 1))
                    rwlock_read_done(&self.lock)
                spend(work)
        return {2 << bucket: buckets[bucket] for bucket in range(BUCKETS) if buckets[bucket]}


cdef uint64_t spend(uint64_t steps) noexcept nogil:
    """Some work that a compiler does not see through."""
    cdef uint64_t state = steps | 1
    for _ in range(steps):
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
    return state
