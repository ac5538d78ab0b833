# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The arena. See arena.pxd.

Directory: one Page (24 bytes) a page of 64 KiB, so under 0.04 %. It starts with few entries and doubles; the replaced
one is retired, since a reactor may be reading it to prefetch (arena_hint). Entry 0 is never a page: its `next` keeps
the capacity, so that a reader gets array and capacity from one pointer. In front of the entries lies the note by
which it is retired.

Pages with room of one class form a ring. A cell is taken from the first; a page that gets room again becomes the
first, so nearly full pages fill up; a page that falls below half becomes the last, so sparse pages are left to empty
and are found by the compactor at once. Where no page is so sparse, the emptiest of the last SLACK_PAGES is emptied if
the holes of the others take all it has: else a deletion of 45 % at random would leave every page nearly half empty.
Freed cells are used again before fresh ones are touched.

An emptied page goes back to the pool. The exception: when no other page of its class has room and at most
PAGE_KEPT_BYTES of it were touched, it stays, so that setting and deleting a single key does not call the system each
time.

Limits: ARENA_PAGES_MAX pages (32 GiB) an arena; 1 % of a page at most is lost behind its last cell.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.memory cimport memory_array_free, memory_array_new, memory_array_set_leaving
from kvcy.engine.pages cimport PagePool, pool_give, pool_take
from kvcy.engine.platform cimport add_relaxed_u64, invariant, likely, prefetch, unlikely
from kvcy.engine.quiet cimport Retired, quiet_retire_array

cdef enum:
    DIRECTORY_PAGES_MIN = 4
    NO_GRANULE = 0xFFFF
    TOUCH_BYTES = 4096           # what the system makes resident at a time
    PAGE_KEPT_BYTES = 4096
    SLACK_PAGES = 32             # of a ring, that are looked at for holes


cdef inline uint32_t class_granules(int size_class) noexcept nogil:
    return <uint32_t> (arena_class_bytes(size_class) >> 3)


cdef inline uint64_t touched_bytes(const Page* page) noexcept nogil:
    """Memory of the page that is resident."""
    return ((<uint64_t> page.fresh_granule << 3) + TOUCH_BYTES - 1) & ~<uint64_t> (TOUCH_BYTES - 1)


cdef inline bint page_has_room(const Page* page) noexcept nogil:
    return (page.free_granule != NO_GRANULE
            or page.fresh_granule + class_granules(page.size_class) <= ARENA_PAGE_GRANULES)


cdef inline bint page_is_sparse(const Page* page, uint32_t used_cells) noexcept nogil:
    """Whether `used_cells` cells would be less than half of those touched."""
    return used_cells * 2 * class_granules(page.size_class) < page.fresh_granule


# --- the rings of pages with room

cdef void ring_add(Arena* arena, uint32_t number, bint first) noexcept nogil:
    """Makes the page the first or the last of its class's ring."""
    cdef Page* pages = arena.pages
    cdef Page* page = &pages[number]
    cdef uint32_t head = arena.roomy[page.size_class]
    invariant(page.listed != PAGE_ROOMY)
    page.listed = PAGE_ROOMY
    if head == 0:
        page.previous = number
        page.next = number
        arena.roomy[page.size_class] = number
        return
    invariant(pages[head].size_class == page.size_class)
    page.next = head
    page.previous = pages[head].previous
    pages[page.previous].next = number
    pages[head].previous = number
    if first:
        arena.roomy[page.size_class] = number


cdef void ring_remove(Arena* arena, uint32_t number, int listed) noexcept nogil:
    """Takes the page out of its ring; `listed` is what it is then."""
    cdef Page* pages = arena.pages
    cdef Page* page = &pages[number]
    invariant(page.listed == PAGE_ROOMY)
    page.listed = <uint8_t> listed
    if page.next == number:
        invariant(arena.roomy[page.size_class] == number)
        arena.roomy[page.size_class] = 0
        return
    pages[page.previous].next = page.next
    pages[page.next].previous = page.previous
    if arena.roomy[page.size_class] == number:
        arena.roomy[page.size_class] = page.next


# --- the directory

cdef inline size_t directory_bytes(uint32_t capacity) noexcept nogil:
    return sizeof(Retired) + <size_t> capacity * sizeof(Page)


cdef void free_directory(void* memory, void* capacity) noexcept nogil:
    memory_array_set_leaving(directory_bytes(<uint32_t> <size_t> capacity), False)
    memory_array_free(memory, directory_bytes(<uint32_t> <size_t> capacity))


cdef void retire_directory(Page* pages, uint32_t capacity) noexcept nogil:
    """REQUIRES: it is leaving."""
    cdef Retired* note = <Retired*> (<char*> pages - sizeof(Retired))
    quiet_retire_array(note, note, free_directory, <void*> <size_t> capacity)


cdef bint directory_grow(Arena* arena) noexcept nogil:
    """Doubles the directory; false when there is no memory or no number left."""
    cdef uint32_t capacity = arena.page_capacity * 2 if arena.page_capacity else DIRECTORY_PAGES_MIN
    cdef Page* old = arena.pages
    cdef Page* pages
    cdef char* memory
    if arena.page_capacity > ARENA_PAGES_MAX:
        return False
    memory = <char*> memory_array_new(directory_bytes(capacity))
    if memory == NULL:
        return False
    pages = <Page*> (memory + sizeof(Retired))
    if old != NULL:
        memcpy(pages, old, <size_t> arena.page_count * sizeof(Page))
    else:
        arena.page_count = 1
    pages[0].next = capacity
    store_pages(&arena.pages, pages)
    arena.page_bytes += directory_bytes(capacity)
    if old != NULL:
        arena.page_bytes -= directory_bytes(arena.page_capacity)
        memory_array_set_leaving(directory_bytes(arena.page_capacity), True)
        retire_directory(old, arena.page_capacity)
    arena.page_capacity = capacity
    return True


cdef uint32_t page_add(Arena* arena, PagePool* pool, int size_class) noexcept nogil:
    """A page of the class from the pool, in its ring: its number, or 0 when there is no memory."""
    cdef uint32_t number = arena.free_page
    cdef char* base
    cdef Page* page
    if number == 0 and arena.page_count >= arena.page_capacity and not directory_grow(arena):
        return 0
    if number == 0 and arena.page_count > ARENA_PAGES_MAX:
        return 0
    base = pool_take(pool)
    if base == NULL:
        return 0
    if number != 0:
        arena.free_page = arena.pages[number].next
    else:
        number = arena.page_count
        arena.page_count += 1
    page = &arena.pages[number]
    invariant(page.base == NULL)
    invariant(number <= ARENA_PAGES_MAX)
    page.size_class = <uint8_t> size_class
    page.listed = PAGE_FULL
    page.free_granule = NO_GRANULE
    page.fresh_granule = 0
    page.used_cells = 0
    store_base(&page.base, base)
    ring_add(arena, number, True)
    return number


cdef void page_drop(Arena* arena, PagePool* pool, uint32_t number) noexcept nogil:
    """Gives an emptied page back. REQUIRES: it is in no ring."""
    cdef Page* page = &arena.pages[number]
    cdef char* base = page.base
    invariant(page.used_cells == 0 and page.listed != PAGE_ROOMY)
    invariant(arena.page_bytes >= touched_bytes(page))
    arena.page_bytes -= touched_bytes(page)
    store_base(&page.base, NULL)
    page.listed = PAGE_FULL
    page.next = arena.free_page
    arena.free_page = number
    pool_give(pool, base)


# --- cells

cdef inline uint32_t roomy_page(Arena* arena, PagePool* pool, int size_class) noexcept nogil:
    """A page of the class with room; 0: no memory."""
    cdef uint32_t number = arena.roomy[size_class]
    return number if likely(number != 0) else page_add(arena, pool, size_class)


cdef inline uint32_t take_fresh(Arena* arena, PagePool* pool, uint32_t number, uint32_t cells) noexcept nogil:
    """The handle of the first of so many cells of the page that were never used. REQUIRES: there are so many."""
    cdef Page* page = &arena.pages[number]
    cdef uint32_t granule = page.fresh_granule
    cdef uint64_t touched = touched_bytes(page)
    page.fresh_granule += <uint16_t> (cells * class_granules(page.size_class))
    arena.page_bytes += touched_bytes(page) - touched
    invariant(page.fresh_granule <= ARENA_PAGE_GRANULES)
    prefetch(page.base + (<size_t> page.fresh_granule << 3))     # will be written to next; where no page is, harmless
    count_taken(arena, pool, number, cells)
    return (number << 13) | granule


cdef inline void count_taken(Arena* arena, PagePool* pool, uint32_t number, uint32_t cells) noexcept nogil:
    cdef Page* page = &arena.pages[number]
    cdef uint64_t bytes = cells * arena_class_bytes(page.size_class)
    page.used_cells += <uint16_t> cells
    arena.used_bytes += bytes
    add_relaxed_u64(&pool.cell_bytes, bytes)
    if unlikely(not page_has_room(page)):
        ring_remove(arena, number, PAGE_FULL)


cdef uint32_t arena_alloc(Arena* arena, PagePool* pool, size_t size) noexcept nogil:
    cdef int size_class = arena_class_of(size)
    cdef uint32_t number = roomy_page(arena, pool, size_class)
    cdef uint32_t granule
    cdef Page* page
    invariant(size >= 1 and size <= ARENA_BYTES_MAX)
    if unlikely(number == 0):
        return 0
    page = &arena.pages[number]
    invariant(page.size_class == size_class and page.listed == PAGE_ROOMY)
    granule = page.free_granule
    if granule == NO_GRANULE:
        return take_fresh(arena, pool, number, 1)
    memcpy(&page.free_granule, page.base + (<size_t> granule << 3), sizeof(uint16_t))
    count_taken(arena, pool, number, 1)
    return (number << 13) | granule


cdef uint32_t arena_alloc_run(Arena* arena, PagePool* pool, size_t size, uint32_t* cells) noexcept nogil:
    cdef int size_class = arena_class_of(size)
    cdef uint32_t number = roomy_page(arena, pool, size_class)
    cdef uint32_t granules = class_granules(size_class)
    cdef uint32_t end = ARENA_PAGE_GRANULES
    cdef const Page* page
    cells[0] = 1
    if unlikely(number == 0):
        return 0
    page = &arena.pages[number]
    if page.free_granule != NO_GRANULE:
        return arena_alloc(arena, pool, size)
    # To the end of what is resident once the first of them is. What lies behind the page's last cell is no cell.
    end = min(end, <uint32_t> (((page.fresh_granule + granules - 1) | (TOUCH_BYTES // 8 - 1)) + 1))
    cells[0] = (end - page.fresh_granule) // granules
    return take_fresh(arena, pool, number, cells[0])


cdef inline bint keeps_emptied(const Arena* arena, const Page* page) noexcept nogil:
    """Whether an emptied page stays: see above. It is in the ring."""
    return (page.listed == PAGE_ROOMY and &arena.pages[page.next] == page
            and touched_bytes(page) <= PAGE_KEPT_BYTES)


cdef void arena_free(Arena* arena, PagePool* pool, uint32_t handle) noexcept nogil:
    cdef uint32_t number = handle >> 13
    cdef uint16_t granule = <uint16_t> (handle & 8191)
    cdef Page* page = &arena.pages[number]
    invariant(number != 0 and number < arena.page_count)
    invariant(page.base != NULL and page.used_cells > 0)
    invariant(granule < page.fresh_granule and granule % class_granules(page.size_class) == 0)
    memcpy(page.base + (<size_t> granule << 3), &page.free_granule, sizeof(uint16_t))
    page.free_granule = granule
    page.used_cells -= 1
    arena.used_bytes -= arena_class_bytes(page.size_class)
    add_relaxed_u64(&pool.cell_bytes, 0 - <uint64_t> arena_class_bytes(page.size_class))
    if page.used_cells == 0:
        if keeps_emptied(arena, page):
            return
        if page.listed == PAGE_ROOMY:
            ring_remove(arena, number, PAGE_FULL)
        page_drop(arena, pool, number)
    elif page.listed == PAGE_FULL:
        ring_add(arena, number, True)
    elif page.listed == PAGE_ROOMY and page.next != number:
        if page_is_sparse(page, page.used_cells) and not page_is_sparse(page, page.used_cells + 1):
            ring_remove(arena, number, PAGE_FULL)
            ring_add(arena, number, False)


cdef void arena_disown(Arena* arena, PagePool* pool) noexcept nogil:
    if arena.disowned:
        return
    arena.disowned = True
    add_relaxed_u64(&pool.cell_bytes, 0 - arena.used_bytes)
    arena.used_bytes = 0
    if arena.pages != NULL:
        memory_array_set_leaving(directory_bytes(arena.page_capacity), True)


cdef void arena_clear(Arena* arena, PagePool* pool) noexcept nogil:
    cdef uint32_t number
    cdef Page* old = arena.pages
    arena_disown(arena, pool)
    for number in range(1, arena.page_count):
        if old[number].base != NULL:
            pool_give(pool, old[number].base)
    store_pages(&arena.pages, NULL)
    if old != NULL:
        retire_directory(old, arena.page_capacity)
    memset(<char*> arena + sizeof(Page*), 0, sizeof(Arena) - sizeof(Page*))


# --- compaction

cdef uint32_t slack_page(const Arena* arena, uint32_t last) noexcept nogil:
    """The emptiest of the pages from the ring's last one on, if its cells fit into the holes of the others; 0: none."""
    cdef uint32_t granules = class_granules(arena.pages[last].size_class)
    cdef uint32_t emptiest = last
    cdef uint32_t number = last
    cdef uint32_t holes = 0
    cdef const Page* page
    for _ in range(SLACK_PAGES):
        page = &arena.pages[number]
        holes += page.fresh_granule // granules - page.used_cells
        if page.used_cells < arena.pages[emptiest].used_cells:
            emptiest = number
        number = page.previous
        if number == last:
            break
    page = &arena.pages[emptiest]
    # Its own holes do not count, and without any it is only being filled for the first time.
    holes -= page.fresh_granule // granules - page.used_cells
    return emptiest if page.used_cells <= holes and page.used_cells < page.fresh_granule // granules else 0


cdef uint32_t arena_sparse_page(const Arena* arena, int size_class) noexcept nogil:
    cdef uint32_t head = arena.roomy[size_class]
    cdef uint32_t number
    cdef const Page* page
    invariant(size_class >= 0 and size_class < ARENA_CLASSES)
    if head == 0:
        return 0
    number = arena.pages[head].previous
    if number == head:
        return 0
    page = &arena.pages[number]
    invariant(page.listed == PAGE_ROOMY)
    return number if page_is_sparse(page, page.used_cells) else slack_page(arena, number)


cdef void arena_evacuate(Arena* arena, uint32_t page) noexcept nogil:
    invariant(arena_has_page(arena, page))
    ring_remove(arena, page, PAGE_EVACUATED)


cdef void arena_evacuate_end(Arena* arena, uint32_t page) noexcept nogil:
    if not arena_has_page(arena, page) or arena.pages[page].listed != PAGE_EVACUATED:
        return                              # it went back to the pool
    # First: it fills up, instead of being tried again at once. It may be one that was kept empty.
    ring_add(arena, page, True)


cdef uint32_t arena_used_cells(const Arena* arena, uint32_t page, uint64_t* bitmap) noexcept nogil:
    cdef const Page* it = &arena.pages[page]
    cdef uint32_t granules = class_granules(it.size_class)
    cdef uint32_t touched = it.fresh_granule // granules
    cdef uint32_t freed = 0
    cdef uint32_t cell
    cdef uint16_t granule = it.free_granule
    invariant(arena_has_page(arena, page))
    memset(bitmap, 0, ARENA_CELLS_MAX // 8)
    for cell in range(touched):
        bitmap[cell >> 6] |= <uint64_t> 1 << (cell & 63)
    while granule != NO_GRANULE:            # ends: the list names each freed cell once
        cell = granule // granules
        bitmap[cell >> 6] &= ~(<uint64_t> 1 << (cell & 63))
        memcpy(&granule, it.base + (<size_t> granule << 3), sizeof(uint16_t))
        freed += 1
    invariant(freed + it.used_cells == touched)
    return touched


cdef bint arena_has_page(const Arena* arena, uint32_t page) noexcept nogil:
    return page != 0 and page < arena.page_count and arena.pages[page].base != NULL
