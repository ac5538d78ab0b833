# cython: language_level=3
"""The intrusive LRU list: entries of one partition linked by handles; the head was used last, the tail is the victim.
The links lie in the entries (Entry.previous towards the head, Entry.next towards the tail). All of it is inline.
REQUIRES: the shard's lock, exclusively."""
from libc.stdint cimport uint32_t
from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.platform cimport invariant

cdef struct LruList:
    uint32_t head          # handle, 0 none
    uint32_t tail
    uint32_t count


cdef inline void lru_push(LruList* list, Arena* arena, uint32_t handle) noexcept nogil:
    """Makes the entry the head. REQUIRES: it is in no list."""
    cdef Entry* entry = <Entry*> arena_at(arena, handle)
    invariant(handle != 0 and handle != list.head)
    invariant((list.head == 0) == (list.tail == 0))
    entry.previous = 0
    entry.next = list.head
    if list.head != 0:
        (<Entry*> arena_at(arena, list.head)).previous = handle
    else:
        list.tail = handle
    list.head = handle
    list.count += 1


cdef inline void lru_unlink(LruList* list, Arena* arena, Entry* entry) noexcept nogil:
    """Takes the entry out of the chain; the count stays."""
    if entry.previous != 0:
        (<Entry*> arena_at(arena, entry.previous)).next = entry.next
    else:
        list.head = entry.next
    if entry.next != 0:
        (<Entry*> arena_at(arena, entry.next)).previous = entry.previous
    else:
        list.tail = entry.previous


cdef inline void lru_remove(LruList* list, Arena* arena, uint32_t handle) noexcept nogil:
    invariant(handle != 0)
    invariant(list.count > 0)
    lru_unlink(list, arena, <Entry*> arena_at(arena, handle))
    list.count -= 1


cdef inline void lru_touch(LruList* list, Arena* arena, uint32_t handle) noexcept nogil:
    """Moves the entry to the head. REQUIRES: it is in this list."""
    cdef Entry* entry
    invariant(handle != 0)
    invariant(list.count > 0)
    if list.head == handle:
        return
    entry = <Entry*> arena_at(arena, handle)
    lru_unlink(list, arena, entry)
    entry.previous = 0
    entry.next = list.head
    (<Entry*> arena_at(arena, list.head)).previous = handle     # there is another entry: it was the head
    list.head = handle


cdef inline void lru_moved(LruList* list, Arena* arena, uint32_t old, uint32_t new) noexcept nogil:
    """The entry at `old` was copied to `new` (its links with it): mends neighbours and ends of the list."""
    cdef Entry* entry = <Entry*> arena_at(arena, new)
    invariant(old != 0 and new != 0 and old != new)
    if entry.previous != 0:
        (<Entry*> arena_at(arena, entry.previous)).next = new
    else:
        invariant(list.head == old)
        list.head = new
    if entry.next != 0:
        (<Entry*> arena_at(arena, entry.next)).previous = new
    else:
        invariant(list.tail == old)
        list.tail = new
