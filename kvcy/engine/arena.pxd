# cython: language_level=3
"""Memory for entries, named by 32-bit handles.

A handle is (page number << 13) | granule: a granule is 8 bytes, a page 8,192 of them; page numbers start at 1,
so that handle 0 names nothing. Every page serves one size class: exact multiples of 8 up to 128 bytes; eight steps a
doubling up to 1,024 (at most 12.5 % wasted); above, where a cell too large costs most and few fit a page anyway, the
63rd part of a page, the 61st and so on (at most 6 %) up to ARENA_BYTES_MAX. A page knows its class, its free list and
its count of used cells; an emptied page goes back to the pool. A zeroed Arena is an empty one. REQUIRES for all calls
but arena_at and arena_hint: the shard's lock, exclusively.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from kvcy.engine.pages cimport PagePool
from kvcy.engine.platform cimport invariant

cdef enum:
    ARENA_BYTES_MAX = 2112     # the largest cell
    ARENA_CLASSES = 57         # classes there are
    ARENA_PARTS_ABOVE_BYTES = 1024     # a larger cell is a part of a page
    ARENA_PARTS_FROM = 40      # from this class on a cell is a part of a page:
    ARENA_PARTS = 63           # in the first the 63rd, in the others always two less
    ARENA_PAGE_GRANULES = 8192
    ARENA_PAGES_MAX = 524287   # page numbers that fit a handle
    ARENA_CELLS_MAX = 8192     # cells of a page, at most

cdef struct Page:
    char* base                 # atomic; NULL: this page number is free
    uint16_t free_granule      # head of the list of freed cells, 0xFFFF none (cells link by granule)
    uint16_t fresh_granule     # from here to the page's end lie cells never used yet
    uint16_t used_cells
    uint8_t size_class
    uint8_t listed             # a PageListing
    uint32_t previous          # neighbours in its class's ring of pages with room, page numbers
    uint32_t next              # of a free page number: the next free one, 0 none

cdef enum PageListing:
    PAGE_FULL = 0              # not in its class's ring: no room
    PAGE_ROOMY = 1             # in the ring
    PAGE_EVACUATED = 2         # not in the ring though it may have room: arena_evacuate

cdef struct Arena:
    Page* pages                # [page_count], atomic; entry 0 is never used. Replaced when it grows (old one retired)
    uint32_t page_count        # entries in use in `pages`
    uint32_t page_capacity
    uint32_t free_page         # head of free page numbers, linked by Page.next
    uint32_t roomy[ARENA_CLASSES + 1]  # per class: first of the ring of roomy pages, 0 none; its `previous` is the last
    uint64_t used_bytes        # cells in use, by class size
    uint64_t page_bytes        # memory taken: touched bytes of pages and the directory
    bint disowned              # arena_disown

cdef extern from *:
    """
    #define KVCY_POINTER_LOAD(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define KVCY_POINTER_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define KVCY_SIZE_LOG2(x)        ((uint32_t) (63 - __builtin_clzll((x))))
    """
    uint32_t size_log2 "KVCY_SIZE_LOG2"(uint64_t) nogil
    Page* load_pages "KVCY_POINTER_LOAD"(Page**) nogil
    void store_pages "KVCY_POINTER_STORE"(Page**, Page*) nogil
    char* load_base "KVCY_POINTER_LOAD"(char**) nogil
    void store_base "KVCY_POINTER_STORE"(char**, char*) nogil

# A cell of at least `size` bytes (1..ARENA_BYTES_MAX): its handle, or 0 when there is no memory. Contents undefined.
cdef uint32_t arena_alloc(Arena* arena, PagePool* pool, size_t size) noexcept nogil
# Cells side by side, as many as lie in one page of the system's memory or fewer, one at least: the first one's handle,
# or 0. Each is then a cell like any other.
cdef uint32_t arena_alloc_run(Arena* arena, PagePool* pool, size_t size, uint32_t* cells) noexcept nogil
cdef void arena_free(Arena* arena, PagePool* pool, uint32_t handle) noexcept nogil
# Gives all pages back at once, whatever is in them; the arena is then an empty one.
cdef void arena_clear(Arena* arena, PagePool* pool) noexcept nogil
# Its cells do not count in the pool's cell_bytes any more, and its directory is leaving. REQUIRES: only arena_clear
# follows.
cdef void arena_disown(Arena* arena, PagePool* pool) noexcept nogil

# --- compaction: how partition_compact empties a page that is hardly used
# A page of the class less than half of whose touched cells are used, while another page of the class has room, or one
# whose cells fit into the holes of others; 0: none.
cdef uint32_t arena_sparse_page(const Arena* arena, int size_class) noexcept nogil
# From now on no cell of the page is handed out; freeing its last cell gives it back. Ended by arena_evacuate_end,
# unless the page has gone. REQUIRES: the page was answered by arena_sparse_page under the same hold of the lock.
cdef void arena_evacuate(Arena* arena, uint32_t page) noexcept nogil
cdef void arena_evacuate_end(Arena* arena, uint32_t page) noexcept nogil
# Cells of the page that may be in use (the others are fresh), and which are: bit i of the ARENA_CELLS_MAX / 64 words
# of `bitmap` is cell i.
cdef uint32_t arena_used_cells(const Arena* arena, uint32_t page, uint64_t* bitmap) noexcept nogil
# Whether a page number is in use (it may have been given back meanwhile).
cdef bint arena_has_page(const Arena* arena, uint32_t page) noexcept nogil


cdef inline size_t arena_class_bytes(int size_class) noexcept nogil:
    """Bytes of a cell of the class."""
    cdef uint32_t parts
    if size_class < 16:
        return <size_t> (size_class + 1) << 3
    if size_class < ARENA_PARTS_FROM:
        return <size_t> (9 + (size_class & 7)) << (4 + ((size_class - 16) >> 3))
    parts = ARENA_PARTS - 2 * (<uint32_t> size_class - ARENA_PARTS_FROM)
    return <size_t> (<uint32_t> ARENA_PAGE_GRANULES // parts) << 3


cdef inline int arena_class_of(size_t size) noexcept nogil:
    """The smallest class whose cells hold `size` bytes."""
    cdef uint32_t log2, parts
    if size <= 128:
        return <int> ((size + 7) >> 3) - 1
    if size > ARENA_PARTS_ABOVE_BYTES:
        parts = <uint32_t> ARENA_PAGE_GRANULES // <uint32_t> ((size + 7) >> 3)
        return ARENA_PARTS_FROM + <int> ((ARENA_PARTS + 1 - parts) >> 1)
    log2 = size_log2(size - 1)
    return <int> (16 + (log2 - 7) * 8 + (((size - 1) >> (log2 - 3)) & 7))


cdef inline void* arena_at(const Arena* arena, uint32_t handle) noexcept nogil:
    return arena.pages[handle >> 13].base + (<size_t> (handle & 8191) << 3)


cdef inline const void* arena_hint(const Arena* arena, uint32_t handle) noexcept nogil:
    """Where the cell lies, read without a lock, for prefetching only; may be NULL. REQUIRES: quiet_enter'ed thread."""
    cdef Page* pages = load_pages(<Page**> &arena.pages)
    cdef char* base
    if pages == NULL or handle >> 13 >= pages[0].next:       # entry 0 keeps the directory's capacity there
        return NULL
    base = load_base(&pages[handle >> 13].base)
    return NULL if base == NULL else base + (<size_t> (handle & 8191) << 3)


cdef inline size_t arena_room(const Arena* arena, uint32_t handle) noexcept nogil:
    """Bytes usable in the cell `handle` (its class size)."""
    invariant(handle >> 13 != 0 and handle >> 13 < arena.page_count)
    return arena_class_bytes(arena.pages[handle >> 13].size_class)


cdef inline uint32_t arena_cell(const Arena* arena, uint32_t page, uint32_t cell) noexcept nogil:
    """The handle of cell number `cell` of the page."""
    return (page << 13) + cell * <uint32_t> (arena_class_bytes(arena.pages[page].size_class) >> 3)
