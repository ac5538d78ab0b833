# cython: language_level=3
"""Sorting the items of an ordered index's buffer (ordered_buffer.pxd)."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport Arena
from kvcy.engine.node cimport key_before
from kvcy.engine.ordered_buffer cimport BufferItem
from kvcy.engine.platform cimport unlikely

# Sorts the items by their keys, into `target`; `items` are of no use then. False: too many of them have equal numbers
# for that; they are in the order of their numbers. REQUIRES: 0 < count <= BUFFER_BUCKET_ITEMS_MAX.
cdef bint items_sort(const Arena* entries, BufferItem* items, BufferItem* target, uint32_t count) noexcept nogil
# Merges two rising runs.
cdef void numbers_merge(const uint64_t* left, uint32_t left_count, const uint64_t* right, uint32_t right_count,
                        uint64_t* target) noexcept nogil


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
