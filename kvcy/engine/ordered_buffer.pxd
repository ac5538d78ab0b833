# cython: language_level=3
"""The buffer of an ordered index (ordered.pxd): keys that are not in the tree yet.

    item, 16 bytes:   word 8 | more 4 | handle 4
    items:            sorted ones [sorted] | new ones, in no order [count - sorted, BUFFER_NEW_MAX at most]

An item names an entry and has twelve bytes of its key, behind the first `skip` bytes, which all keys of the buffer
share and which are kept once: as two numbers that are ordered as they are, filled up with zeros. So sorting, merging
and looking for the next key of a range hardly ever read an entry. A key that does not share the beginning shortens
it: the items take over its last bytes, and no entry is read. An empty buffer takes the whole next key for its
beginning.

What holds: each item's numbers are made of the twelve bytes of its key behind `skip`; all keys begin with the first
`skip` bytes of `prefix`; the first `sorted` keys rise; no key is there twice.

REQUIRES for all calls: the shard's lock; exclusively for what changes the buffer.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport Arena
from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport word_of
from kvcy.engine.ordered_bound cimport OrderedBound

cdef enum:
    BUFFER_ITEMS_MIN = 64
    BUFFER_ITEMS_MAX = 4608
    BUFFER_NEW_MAX = 512
    BUFFER_NONE = 0xFFFFFFFF       # no place

cdef struct BufferItem:
    uint64_t word
    uint32_t more
    uint32_t handle

cdef struct OrderedBuffer:         # zeroed: one without room
    BufferItem* items              # [capacity], owned
    uint32_t count
    uint32_t sorted
    uint32_t capacity
    uint32_t skip
    char[52] prefix                # NODE_PREFIX_MAX

# What its items take, of memory_array_new.
cdef inline uint64_t buffer_bytes(const OrderedBuffer* buffer) noexcept nogil:
    return buffer.capacity * sizeof(BufferItem)

# Gives it room for `capacity` items, more than it has; false (nothing changed): no memory.
cdef bint buffer_grow(OrderedBuffer* buffer, uint32_t capacity) noexcept nogil
cdef void buffer_close(OrderedBuffer* buffer) noexcept nogil
# REQUIRES: buffer_has_room.
cdef void buffer_append(OrderedBuffer* buffer, uint32_t handle, const char* key, size_t size) noexcept nogil
# The place of an entry with this key. REQUIRES: it is there.
cdef uint32_t buffer_find(const OrderedBuffer* buffer, uint32_t handle, const Bytes* key) noexcept nogil
# Takes out `count` items from `at` on. REQUIRES: they are all sorted ones, or all new ones.
cdef void buffer_remove(OrderedBuffer* buffer, uint32_t at, uint32_t count) noexcept nogil
# Sorts the new items and merges them with the others. False: too many of them have equal numbers for that; they are in
# the order of their numbers, and still the new ones.
cdef bint buffer_sort(OrderedBuffer* buffer, const Arena* entries) noexcept nogil
# How many sorted items have smaller words.
cdef uint32_t buffer_rank(const OrderedBuffer* buffer, uint64_t word) noexcept nogil
# The place of the smallest key behind the bound, or with `reverse` of the largest before it (that of an inclusive
# bound is there itself); or BUFFER_NONE.
cdef uint32_t buffer_seek(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound,
                          bint reverse) noexcept nogil
# How many keys lie between the bounds.
cdef uint32_t buffer_count(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* low,
                           const OrderedBound* high) noexcept nogil
# The first place from `at` on whose key lies between the bounds, whatever the order; or BUFFER_NONE.
cdef uint32_t buffer_next(const OrderedBuffer* buffer, const Arena* entries, uint32_t at, const OrderedBound* low,
                          const OrderedBound* high) noexcept nogil


cdef inline bint buffer_has_room(const OrderedBuffer* buffer) noexcept nogil:
    """For another new item."""
    return buffer.count < buffer.capacity and buffer.count - buffer.sorted < BUFFER_NEW_MAX


cdef inline uint64_t long_word_of(const char* data, size_t size) noexcept nogil:
    """The first eight bytes as a number that is ordered as they are; what is missing counts as 0."""
    cdef uint64_t high = word_of(data, size)
    return high << 32 | (word_of(data + 4, size - 4) if size > 4 else 0)
