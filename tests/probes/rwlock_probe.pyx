# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/rwlock.pxd for the tests."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u32, load_relaxed_u64
from kvcy.engine.rwlock cimport (
    RWLock, rwlock_read, rwlock_read_done, rwlock_try_read, rwlock_try_write, rwlock_write, rwlock_write_done,
    spin_lock, spin_unlock,
)

PARTS = ("read", "write", "leaf")


cdef uint64_t count_up(uint64_t* first, uint64_t* second) noexcept nogil:
    """Adds one to both; whether they differed before."""
    cdef uint64_t differed = first[0] != second[0]
    first[0] += 1
    second[0] += 1
    return differed


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

    cdef uint64_t read_once(self, bint trying) noexcept nogil:
        cdef uint64_t torn
        if not trying or not rwlock_try_read(&self.lock):
            rwlock_read(&self.lock)
        torn = self.first != self.second
        rwlock_read_done(&self.lock)
        return torn

    cdef uint64_t write_once(self, bint trying) noexcept nogil:
        cdef uint64_t torn
        if not trying or not rwlock_try_write(&self.lock):
            rwlock_write(&self.lock)
        torn = count_up(&self.first, &self.second)
        rwlock_write_done(&self.lock)
        return torn

    cdef uint64_t write_leaf_once(self) noexcept nogil:
        cdef uint64_t torn
        spin_lock(&self.leaf)
        torn = count_up(&self.leaf_first, &self.leaf_second)
        spin_unlock(&self.leaf)
        return torn

    def turns(self, str part, uint64_t count) -> int:
        """Read ("read") or count up ("write", "leaf") both numbers `count` times; how often they differed."""
        cdef int number = PARTS.index(part)
        cdef uint64_t turn
        cdef uint64_t torn = 0
        with nogil:
            for turn in range(count):
                if number == 0:
                    torn += self.read_once(turn & 1 == 0)
                elif number == 1:
                    torn += self.write_once(turn & 1 == 0)
                else:
                    torn += self.write_leaf_once()
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
