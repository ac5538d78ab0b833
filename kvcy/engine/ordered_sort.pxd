# cython: language_level=3
"""Sorting the items of an ordered index's buffer (ordered_buffer.pxd)."""
from libc.stdint cimport uint32_t

from kvcy.engine.arena cimport Arena
from kvcy.engine.node cimport key_before
from kvcy.engine.ordered_buffer cimport BufferItem
from kvcy.engine.platform cimport unlikely

# Sorts the items by their keys. NULL: too many of them have equal numbers for that; `items` has them, in the order of
# their numbers. Else it answers which of the two arrays has them. `scratch` has room for as many.
cdef BufferItem* items_sort(const Arena* entries, BufferItem* items, BufferItem* scratch,
                            uint32_t count) noexcept nogil
# Merges two runs by their words; of equal ones the left ones come first.
cdef void items_merge(const BufferItem* left, uint32_t left_count, const BufferItem* right, uint32_t right_count,
                      BufferItem* target) noexcept nogil


cdef inline bint numbers_equal(const BufferItem* first, const BufferItem* second) noexcept nogil:
    return first.word == second.word and first.more == second.more


cdef inline bint numbers_before(const BufferItem* first, const BufferItem* second) noexcept nogil:
    """Not a branch: nothing could foretell it."""
    return (first.word < second.word) | (first.word == second.word) & (first.more < second.more)


cdef inline bint item_before(const Arena* entries, const BufferItem* first, const BufferItem* second) noexcept nogil:
    """Whether its key is smaller than the other's."""
    if unlikely(numbers_equal(first, second)):
        return key_before(entries, first.handle, second.handle)
    return numbers_before(first, second)
