# cython: language_level=3
"""Memory for entries, named by 32-bit handles.

A handle is (page number << 13) | granule: a granule is 8 bytes, a page 8,192 of them; page numbers start at 1,
so that handle 0 names nothing. Every page serves one size class: exact multiples of 8 up to 128 bytes, then eight
steps a doubling (at most 12.5 % wasted) up to ARENA_BYTES_MAX. A page knows its class, its free list and its count of
used cells; an emptied page goes back to the pool. REQUIRES for all calls but arena_at/arena_hint: the shard's lock,
exclusively.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from kvcy.engine.pages cimport PagePool

cdef enum:
    ARENA_BYTES_MAX = 2304     # the largest cell
    ARENA_CLASSES = 50         # enough for all classes; asserted by arena.pyx

cdef struct Page:
    char* base                 # NULL: this page number is free
    uint16_t free_granule      # head of the list of freed cells, 0xFFFF none (cells link by granule)
    uint16_t fresh_cells       # cells never used yet
    uint16_t used_cells
    uint8_t size_class
    uint8_t listed             # in its class's list of pages with room
    uint32_t previous          # neighbours in that list, page numbers, 0 none
    uint32_t next

cdef struct Arena:
    Page* pages                # [page_count]; entry 0 is never used. Replaced when it grows (old one retired)
    uint32_t page_count        # entries in use in `pages`
    uint32_t page_capacity
    uint32_t free_page         # head of free page numbers, linked by Page.next
    uint64_t used_bytes        # cells in use, by class size
    uint64_t page_bytes        # memory taken: touched bytes of pages and the directory
    uint32_t roomy[50]         # per class: first page with room, 0 none

# A cell of at least `size` bytes (1..ARENA_BYTES_MAX): its handle, or 0 when there is no memory. Contents undefined.
cdef uint32_t arena_alloc(Arena* arena, PagePool* pool, size_t size) noexcept nogil
cdef void arena_free(Arena* arena, PagePool* pool, uint32_t handle) noexcept nogil
# Bytes usable in the cell `handle` (its class size).
cdef size_t arena_room(const Arena* arena, uint32_t handle) noexcept nogil
# Gives all pages back at once, whatever is in them.
cdef void arena_clear(Arena* arena, PagePool* pool) noexcept nogil

cdef inline void* arena_at(const Arena* arena, uint32_t handle) noexcept nogil:
    return arena.pages[handle >> 13].base + (<size_t> (handle & 8191) << 3)
