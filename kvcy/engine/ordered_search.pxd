# cython: language_level=3
"""Searching the buffer of an ordered index (ordered_buffer.pxd).

REQUIRES for all calls: the shard's lock.
"""
from libc.stdint cimport uint32_t

from kvcy.engine.arena cimport Arena
from kvcy.engine.ordered_bound cimport OrderedBound
from kvcy.engine.ordered_buffer cimport OrderedBuffer

# The place of the smallest key behind the bound, or with `reverse` of the largest before it (that of an inclusive
# bound is there itself); or BUFFER_NONE.
cdef uint32_t buffer_seek(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound,
                          bint reverse) noexcept nogil
# How many keys lie between the bounds.
cdef uint32_t buffer_count(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* low,
                           const OrderedBound* high) noexcept nogil
# The place of a key between the bounds behind `after`, whatever the order (the first one if that is BUFFER_NONE); or
# BUFFER_NONE.
cdef uint32_t buffer_next(const OrderedBuffer* buffer, const Arena* entries, uint32_t after, const OrderedBound* low,
                          const OrderedBound* high) noexcept nogil
