# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/wheel.pxd for the tests: a wheel over entries without keys in an arena of its own, with injected time."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.arena cimport Arena, arena_alloc, arena_at, arena_clear, arena_free
from kvcy.engine.entry cimport ENTRY_EXPIRES, Entry, EntryExpiry, entry_expiry
from kvcy.engine.pages cimport PagePool, pool_close, pool_init
from kvcy.engine.quiet cimport quiet_reclaim
from kvcy.engine.wheel cimport (
    WHEEL_LISTS, WHEEL_NEVER, Wheel, wheel_add, wheel_advance, wheel_changed, wheel_free, wheel_moved, wheel_new,
    wheel_next, wheel_remove, wheel_wake_ms)

NEVER = WHEEL_NEVER

cdef enum:
    CELL_BYTES = 32              # an Entry, an EntryExpiry


cdef class WheelProbe:
    cdef PagePool pool
    cdef Arena arena
    cdef Wheel* wheel

    def __cinit__(self) -> None:
        pool_init(&self.pool)
        memset(&self.arena, 0, sizeof(Arena))
        self.wheel = wheel_new()
        if self.wheel == NULL:
            raise MemoryError

    def __dealloc__(self) -> None:
        wheel_free(self.wheel)
        arena_clear(&self.arena, &self.pool)
        pool_close(&self.pool)
        quiet_reclaim(<uint64_t> -1)

    cdef EntryExpiry* expiry(self, uint32_t handle) noexcept:
        return entry_expiry(<Entry*> arena_at(&self.arena, handle))

    def add(self, int64_t expire_ms) -> int:
        """A new entry: its handle."""
        cdef uint32_t handle = arena_alloc(&self.arena, &self.pool, CELL_BYTES)
        memset(arena_at(&self.arena, handle), 0xEE, CELL_BYTES)
        (<Entry*> arena_at(&self.arena, handle)).meta = <uint32_t> ENTRY_EXPIRES << 28
        self.expiry(handle).expire_ms = expire_ms
        wheel_add(self.wheel, &self.arena, handle)
        return handle

    def remove(self, uint32_t handle) -> None:
        wheel_remove(self.wheel, &self.arena, handle)
        arena_free(&self.arena, &self.pool, handle)

    def change(self, uint32_t handle, int64_t expire_ms) -> None:
        cdef int64_t old_ms = self.expiry(handle).expire_ms
        self.expiry(handle).expire_ms = expire_ms
        wheel_changed(self.wheel, &self.arena, handle, old_ms)

    def move(self, uint32_t handle) -> int:
        """Move the entry to another cell: its new handle."""
        cdef uint32_t new = arena_alloc(&self.arena, &self.pool, CELL_BYTES)
        memcpy(arena_at(&self.arena, new), arena_at(&self.arena, handle), CELL_BYTES)
        wheel_moved(self.wheel, &self.arena, new)
        memset(arena_at(&self.arena, handle), 0xEE, CELL_BYTES)
        arena_free(&self.arena, &self.pool, handle)
        return new

    def advance(self, int64_t now_ms) -> None:
        wheel_advance(self.wheel, &self.arena, now_ms)

    def take(self, int64_t now_ms, uint32_t looks) -> tuple[list[int], int]:
        """The entries that are found due, which are removed, in order; and the looks that were left."""
        found = []
        wheel_advance(self.wheel, &self.arena, now_ms)
        handle = wheel_next(self.wheel, &self.arena, now_ms, &looks)
        while handle:
            found.append(handle)
            self.remove(handle)
            handle = wheel_next(self.wheel, &self.arena, now_ms, &looks)
        return found, looks

    def wake_ms(self, int64_t now_ms) -> int:
        return wheel_wake_ms(self.wheel, now_ms)

    def walk(self) -> list[int]:
        """Every entry, list by list; checks that the links fit in both directions and the bits of occupied slots."""
        cdef uint32_t list, handle, before
        found = []
        for list in range(WHEEL_LISTS):
            before = list
            handle = self.wheel.lists[list].first
            if list < 448:
                assert bool(self.wheel.occupied[list >> 6] >> (list & 63) & 1) == (handle != 0)
            while handle >= 8192:
                assert self.expiry(handle).previous == before
                found.append(handle)
                before = handle
                handle = self.expiry(handle).next
            assert handle in (0, list)
            assert self.wheel.lists[list].last == (before if before >= 8192 else 0)
        return found

    def __len__(self) -> int:
        return self.wheel.count
