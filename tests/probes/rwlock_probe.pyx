# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/rwlock.pxd for the tests."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u32, load_relaxed_u64
from kvcy.engine.rwlock cimport (
    RWLock, rwlock_read, rwlock_read_done, rwlock_try_read, rwlock_try_write, rwlock_write, rwlock_write_done,
    spin_lock, spin_unlock,
)


cdef class LockProbe:
    """A reader-writer lock, a leaf lock, and two plain numbers under each that must always be equal."""
    cdef RWLock lock
    cdef uint32_t leaf
    cdef uint64_t first
    cdef uint64_t second
    cdef uint64_t leaf_first
    cdef uint64_t leaf_second
    cdef uint64_t inside             # atomic: readers inside

    def try_read(self) -> bool:
        cdef bint taken = rwlock_try_read(&self.lock)
        if taken:
            add_relaxed_u64(&self.inside, 1)
        return taken

    def try_write(self) -> bool:
        return rwlock_try_write(&self.lock)

    def read(self) -> None:
        with nogil:
            rwlock_read(&self.lock)
        add_relaxed_u64(&self.inside, 1)

    def write(self) -> None:
        with nogil:
            rwlock_write(&self.lock)
        assert load_relaxed_u64(&self.inside) == 0

    def read_done(self) -> None:
        add_relaxed_u64(&self.inside, <uint64_t> -1)
        rwlock_read_done(&self.lock)

    def write_done(self) -> None:
        assert load_relaxed_u64(&self.inside) == 0
        rwlock_write_done(&self.lock)

    @property
    def word(self) -> int:
        return load_relaxed_u32(&self.lock.word)

    def read_turns(self, uint64_t turns) -> int:
        """Read both numbers `turns` times; how often they differed."""
        cdef uint64_t turn
        cdef uint64_t torn = 0
        with nogil:
            for turn in range(turns):
                if turn & 1 or not rwlock_try_read(&self.lock):
                    rwlock_read(&self.lock)
                torn += self.first != self.second
                rwlock_read_done(&self.lock)
        return torn

    def write_turns(self, uint64_t turns) -> int:
        """Count both numbers up `turns` times; how often they differed."""
        cdef uint64_t turn
        cdef uint64_t torn = 0
        with nogil:
            for turn in range(turns):
                if turn & 1 or not rwlock_try_write(&self.lock):
                    rwlock_write(&self.lock)
                torn += self.first != self.second
                self.first += 1
                self.second += 1
                rwlock_write_done(&self.lock)
        return torn

    def leaf_turns(self, uint64_t turns) -> int:
        cdef uint64_t _turn
        cdef uint64_t torn = 0
        with nogil:
            for _turn in range(turns):
                spin_lock(&self.leaf)
                torn += self.leaf_first != self.leaf_second
                self.leaf_first += 1
                self.leaf_second += 1
                spin_unlock(&self.leaf)
        return torn

    def race_turns(self, uint64_t turns) -> int:
        """Change a number without any lock: what ThreadSanitizer must notice."""
        cdef uint64_t turn
        with nogil:
            for turn in range(turns):
                self.first = self.first * 31 + turn
        return 0

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.first, self.second, self.leaf_first, self.leaf_second
