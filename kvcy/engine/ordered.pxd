# cython: language_level=3
"""An ordered index of the keys of one partition: a B+-tree of entry handles, and a buffer before it.
docs/ordered-keys.md has the design.

The keys stay in their entries; a node (node.pxd) has for each key the handle and four bytes. An inner node keeps
the handle of the smallest key below each child: there are no copies of keys. Order is that of memcmp, a prefix before
what it begins.

A new key goes into the buffer (ordered_buffer.pxd), there into a bucket of neighbours. When there is no room a bucket
is emptied into the tree (ordered_merge.pxd): many keys to a leaf, leaf after leaf. Nobody has to merge before he
reads: a range is read from tree and buffer.

What holds: every key of the index is either in the tree or in the buffer; the nodes of a level are linked in order;
only the root may be an empty leaf, and an inner root has two children at least; handles[i] of an inner node is
handles[0] of child i.

Nodes live in an arena of the index's own, whose pages count as the partition's do. `ordered_ready` makes sure that the
next insertion finds room; all else needs no memory.

REQUIRES for all calls: the shard's lock; exclusively for what changes the index.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.node cimport node_handles
from kvcy.engine.ordered_bound cimport OrderedBound
from kvcy.engine.ordered_buffer cimport buffer_append, buffer_has_room
from kvcy.engine.ordered_index cimport OrderedIndex, ordered_node
from kvcy.engine.ordered_merge cimport ordered_make_room
from kvcy.engine.pages cimport PagePool
from kvcy.engine.platform cimport likely

cdef enum:
    PLACE_BUFFERED = 0xFFFFFFFF    # OrderedPlace.node of a key in the buffer

cdef struct OrderedPlace:          # of a key, valid until the index changes
    uint32_t node                  # the leaf, or PLACE_BUFFERED; 0: no key
    uint32_t at

# An empty index over entries in `entries`, which must outlive it; NULL: no memory.
cdef OrderedIndex* ordered_new(const Arena* entries, PagePool* pool) noexcept nogil
cdef void ordered_free(OrderedIndex* index) noexcept nogil           # NULL is allowed
cdef uint64_t ordered_bytes(const OrderedIndex* index) noexcept nogil
# REQUIRES: the entry is in the index, and its key is still to be read.
cdef void ordered_remove(OrderedIndex* index, uint32_t handle) noexcept nogil
# The entry `old` is replaced by `new`. REQUIRES: both are to be read and have the same key.
cdef void ordered_moved(OrderedIndex* index, uint32_t old, uint32_t new) noexcept nogil

# Fetches the root into the cache, for a search that will follow.
cdef void ordered_prefetch(const OrderedIndex* index) noexcept nogil
# The tree's first key behind the bound, or with `reverse` its last one before it (an inclusive bound is there itself).
cdef OrderedPlace ordered_seek(const OrderedIndex* index, const OrderedBound* bound, bint reverse) noexcept nogil
# The same of the buffer's keys.
cdef OrderedPlace ordered_seek_buffered(const OrderedIndex* index, const OrderedBound* bound,
                                        bint reverse) noexcept nogil
# The next key of the tree, or of the buffer, as the place is; with `reverse` the one before. REQUIRES: place.node != 0.
cdef OrderedPlace ordered_step(const OrderedIndex* index, OrderedPlace place, bint reverse) noexcept nogil
# Keys of the tree from `first` to `last`, both included, as far as `leaves_max` leaves reach; *first moves to the first
# key that was not counted, to no key when all were.
# REQUIRES: `first` is not behind `last`; both are in the tree.
cdef uint64_t ordered_count(const OrderedIndex* index, OrderedPlace* first, OrderedPlace last,
                            uint32_t leaves_max) noexcept nogil


cdef inline bint ordered_ready(OrderedIndex* index) noexcept nogil:
    """Makes sure that the next insertion cannot fail; false (nothing changed): there is no memory."""
    return likely(buffer_has_room(&index.buffer)) or ordered_make_room(index)


cdef inline void ordered_insert(OrderedIndex* index, uint32_t handle, const char* key, size_t size) noexcept nogil:
    """Puts it into the buffer. The key is the entry's. REQUIRES: ordered_ready said yes since the last insertion; no
    entry of the index has the same key."""
    buffer_append(&index.buffer, handle, key, size)
    index.count += 1


cdef inline uint32_t ordered_handle(const OrderedIndex* index, OrderedPlace place) noexcept nogil:
    """The entry's handle. REQUIRES: place.node != 0."""
    if place.node == PLACE_BUFFERED:
        return index.buffer.items[place.at].handle
    return node_handles(ordered_node(index, place.node))[place.at]


cdef inline Entry* ordered_entry(const OrderedIndex* index, OrderedPlace place) noexcept nogil:
    """REQUIRES: place.node != 0."""
    return <Entry*> arena_at(index.entries, ordered_handle(index, place))
