# cython: language_level=3
"""Memory for blocks of 1 KiB to 256 KiB: cells of slabs, which give their memory back.

malloc keeps what is freed between two allocations that stay, and it cannot move these. Here a mass deletion leaves
nothing behind: a large cell's pages go back to the system when it is freed, and the small cells that stay are moved
together (block_compaction.pxd), after which whole slabs go.

    slab, 256 KiB (small cells, up to 32 KiB) or 1 MiB, at a multiple of its size:
        Slab header, 128 bytes (large cells: a page) | cells of one size

Sizes: sixteen steps a doubling up to 32 KiB, then eight, of whole pages. One leaf lock a size (rwlock.pxd).
"""
from libc.stdint cimport uint64_t

from kvcy.engine.slab cimport LARGEST_BYTES, SMALLEST_BYTES

cdef enum:
    BLOCK_HEAP_BYTES_MIN = SMALLEST_BYTES      # less comes from malloc
    BLOCK_HEAP_BYTES_MAX = LARGEST_BYTES       # more is mapped

# Memory that a block of `size` bytes takes, BLOCK_HEAP_BYTES_MIN to BLOCK_HEAP_BYTES_MAX: at most a sixteenth more, or
# whole pages.
cdef size_t block_heap_room(size_t size) noexcept nogil
# Whether a block of `size` bytes may become one of `new_size` bytes where it lies.
cdef bint block_heap_same_cell(size_t size, size_t new_size) noexcept nogil
# `size` bytes, as block_heap_room says, contents undefined; NULL: no memory.
cdef void* block_heap_new(size_t size) noexcept nogil
# REQUIRES: `size` is the size the memory was asked for with, or another of the same cell.
cdef void block_heap_free(void* memory, size_t size) noexcept nogil
# Resident memory that nobody uses: freed small cells, and what is kept of large ones (atomic, relaxed).
cdef uint64_t block_heap_slack() noexcept nogil

# --- compaction, by one thread at a time
# Chooses slabs to be emptied, if so much lies idle that it is worth it; nothing is handed out from them any more.
# False: nothing is to be done, or another thread is at it.
cdef bint block_heap_plan() noexcept nogil
# Whether the plan wants this memory to be moved: to what block_heap_new answers for the same size.
cdef bint block_heap_leaves(const void* memory, size_t size) noexcept nogil
# Ends the plan: slabs that could not be emptied are in use again. REQUIRES: block_heap_plan answered true.
cdef void block_heap_settle() noexcept nogil
