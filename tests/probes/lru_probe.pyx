# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/lru.pxd for the tests: a list over entries without keys in an arena of its own."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.arena cimport Arena, arena_alloc, arena_at, arena_clear, arena_free
from kvcy.engine.entry cimport Entry
from kvcy.engine.lru cimport LruList, lru_moved, lru_push, lru_remove, lru_touch
from kvcy.engine.pages cimport PagePool, pool_close, pool_init
from kvcy.engine.quiet cimport quiet_reclaim


cdef class LruProbe:
    cdef PagePool pool
    cdef Arena arena
    cdef LruList list

    def __cinit__(self) -> None:
        pool_init(&self.pool)
        memset(&self.arena, 0, sizeof(Arena))
        memset(&self.list, 0, sizeof(LruList))

    def __dealloc__(self) -> None:
        arena_clear(&self.arena, &self.pool)
        pool_close(&self.pool)
        quiet_reclaim(<uint64_t> -1)

    def push(self) -> int:
        """A new entry at the head: its handle."""
        cdef uint32_t handle = arena_alloc(&self.arena, &self.pool, sizeof(Entry))
        memset(arena_at(&self.arena, handle), 0xEE, sizeof(Entry))
        lru_push(&self.list, &self.arena, handle)
        return handle

    def remove(self, uint32_t handle) -> None:
        lru_remove(&self.list, &self.arena, handle)
        arena_free(&self.arena, &self.pool, handle)

    def touch(self, uint32_t handle) -> None:
        lru_touch(&self.list, &self.arena, handle)

    def move(self, uint32_t handle) -> int:
        """Move the entry to another cell: its new handle."""
        cdef uint32_t new = arena_alloc(&self.arena, &self.pool, sizeof(Entry))
        memcpy(arena_at(&self.arena, new), arena_at(&self.arena, handle), sizeof(Entry))
        lru_moved(&self.list, &self.arena, handle, new)
        arena_free(&self.arena, &self.pool, handle)
        return new

    def from_head(self) -> list[int]:
        cdef uint32_t handle = self.list.head
        found = []
        while handle != 0:
            found.append(handle)
            handle = (<Entry*> arena_at(&self.arena, handle)).next
        return found

    def from_tail(self) -> list[int]:
        cdef uint32_t handle = self.list.tail
        found = []
        while handle != 0:
            found.append(handle)
            handle = (<Entry*> arena_at(&self.arena, handle)).previous
        return found

    def __len__(self) -> int:
        return self.list.count
