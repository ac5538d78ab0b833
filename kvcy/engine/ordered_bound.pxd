# cython: language_level=3
"""An end of a range of keys. Order is that of memcmp, a prefix before what it begins."""
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_key
from kvcy.engine.node cimport bytes_order

cdef enum OrderedEdge:
    EDGE_LOWEST                    # before all keys
    EDGE_INCLUSIVE                 # the bound itself belongs to the range
    EDGE_EXCLUSIVE
    EDGE_HIGHEST                   # behind all keys

cdef struct OrderedBound:          # the bytes are borrowed
    OrderedEdge edge
    const char* data
    size_t size


cdef inline bint ordered_beyond(const Entry* entry, const OrderedBound* bound, bint reverse) noexcept nogil:
    """Whether the entry with this key lies beyond the bound of a walk that came from the other side."""
    cdef Bytes key
    cdef int order
    if bound.edge == EDGE_LOWEST or bound.edge == EDGE_HIGHEST:
        return (bound.edge == EDGE_LOWEST) != reverse
    key = entry_key(entry)
    order = bytes_order(key.data, key.size, bound.data, bound.size)
    if order == 0:
        return bound.edge == EDGE_EXCLUSIVE
    return (order > 0) != reverse
