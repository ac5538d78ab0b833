# cython: language_level=3
"""The intrusive LRU list: entries of one partition linked by handles; the head was used last, the tail is the victim.
REQUIRES: the shard's lock, exclusively."""
from libc.stdint cimport uint32_t
from kvcy.engine.arena cimport Arena

cdef struct LruList:
    uint32_t head          # handle, 0 none
    uint32_t tail
    uint32_t count

cdef void lru_push(LruList* list, Arena* arena, uint32_t handle) noexcept nogil
cdef void lru_remove(LruList* list, Arena* arena, uint32_t handle) noexcept nogil
cdef void lru_touch(LruList* list, Arena* arena, uint32_t handle) noexcept nogil       # moves it to the head
# The entry at `old` was copied to `new` (its links with it): mends neighbours and ends of the list.
cdef void lru_moved(LruList* list, Arena* arena, uint32_t old, uint32_t new) noexcept nogil
