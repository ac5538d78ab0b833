# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/arena.pxd and engine/pages.pxd for the tests: an Arena with a pool of its own."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.arena cimport (
    ARENA_BYTES_MAX, ARENA_CELLS_MAX, ARENA_CLASSES, Arena, arena_alloc, arena_alloc_run, arena_at, arena_cell,
    arena_class_bytes, arena_clear, arena_evacuate, arena_evacuate_end, arena_free, arena_has_page, arena_hint,
    arena_room, arena_sparse_page, arena_used_cells,
)
from kvcy.engine.memory cimport memory_array_bytes, memory_fail_after, memory_fail_never
from kvcy.engine.pages cimport PAGE_BYTES, PagePool, pool_close, pool_give, pool_init, pool_take
from kvcy.engine.quiet cimport quiet_reclaim

BYTES_MAX = ARENA_BYTES_MAX
CLASSES = ARENA_CLASSES
PAGE = PAGE_BYTES
CLASS_BYTES = [arena_class_bytes(i) for i in range(ARENA_CLASSES)]


cdef class ArenaProbe:
    """An arena; `limit_bytes` bounds its pool."""
    cdef PagePool pool
    cdef Arena arena

    def __cinit__(self, uint64_t limit_bytes=0) -> None:
        pool_init(&self.pool)
        self.pool.bytes_limit = limit_bytes
        memset(&self.arena, 0, sizeof(Arena))

    def __dealloc__(self) -> None:
        arena_clear(&self.arena, &self.pool)
        pool_close(&self.pool)
        quiet_reclaim(<uint64_t> -1)

    def alloc(self, size_t size) -> int:
        return arena_alloc(&self.arena, &self.pool, size)

    def alloc_run(self, size_t size) -> list[int]:
        """The cells' handles; none when there is no memory."""
        cdef uint32_t cells = 0
        cdef uint32_t handle = arena_alloc_run(&self.arena, &self.pool, size, &cells)
        if handle == 0:
            return []
        return [handle + i * (arena_room(&self.arena, handle) >> 3) for i in range(cells)]

    def free(self, uint32_t handle) -> None:
        arena_free(&self.arena, &self.pool, handle)

    def room(self, uint32_t handle) -> int:
        return arena_room(&self.arena, handle)

    def clear(self) -> None:
        arena_clear(&self.arena, &self.pool)

    def address(self, uint32_t handle) -> int:
        return <size_t> arena_at(&self.arena, handle)

    def hint(self, uint32_t handle) -> int:
        return <size_t> arena_hint(&self.arena, handle)

    def write(self, uint32_t handle, bytes data) -> None:
        cdef char* at = <char*> arena_at(&self.arena, handle)
        cdef size_t i
        cdef const char* source = data
        for i in range(<size_t> len(data)):
            at[i] = source[i]

    def read(self, uint32_t handle, size_t size) -> bytes:
        return (<char*> arena_at(&self.arena, handle))[:size]

    def sparse_page(self, int size_class) -> int:
        return arena_sparse_page(&self.arena, size_class)

    def evacuate(self, uint32_t page) -> None:
        arena_evacuate(&self.arena, page)

    def evacuate_end(self, uint32_t page) -> None:
        arena_evacuate_end(&self.arena, page)

    def has_page(self, uint32_t page) -> bool:
        return arena_has_page(&self.arena, page)

    def used_handles(self, uint32_t page) -> list[int]:
        """The handles of the page's used cells."""
        cdef uint64_t bitmap[128]
        assert sizeof(bitmap) * 8 == ARENA_CELLS_MAX
        cdef uint32_t cells = arena_used_cells(&self.arena, page, bitmap)
        return [arena_cell(&self.arena, page, i) for i in range(cells) if bitmap[i >> 6] >> (i & 63) & 1]

    @property
    def used_bytes(self) -> int:
        return self.arena.used_bytes

    @property
    def page_bytes(self) -> int:
        return self.arena.page_bytes

    @property
    def pages(self) -> int:
        """Pages in use."""
        return sum(arena_has_page(&self.arena, i) for i in range(self.arena.page_count))

    @property
    def pool_bytes(self) -> int:
        return self.pool.bytes_used


cdef class PoolProbe:
    """A page pool."""
    cdef PagePool pool

    def __cinit__(self, uint64_t limit_bytes=0) -> None:
        pool_init(&self.pool)
        self.pool.bytes_limit = limit_bytes

    def __dealloc__(self) -> None:
        self.pool.bytes_used = 0                 # pages that a test did not give back
        pool_close(&self.pool)

    def take(self) -> int:
        """A page's address, 0 when there is none."""
        return <size_t> pool_take(&self.pool)

    def give(self, size_t page) -> None:
        pool_give(&self.pool, <char*> page)

    @property
    def bytes_used(self) -> int:
        return self.pool.bytes_used


def fill_page(size_t page, int byte) -> None:
    memset(<void*> page, byte, PAGE_BYTES)


def page_is_zero(size_t page) -> bool:
    return (<char*> page)[:PAGE_BYTES] == bytes(PAGE_BYTES)


def array_bytes() -> int:
    return memory_array_bytes()


def reclaim() -> int:
    return quiet_reclaim(<uint64_t> -1)


def fail_after(uint64_t count) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()
