# cython: language_level=3
"""An ordered index of the keys of one partition: a B+-tree of entry handles. docs/ordered-keys.md has the design.

The keys stay in their entries; a node (node.pxd) has for each key the handle and four bytes. An inner node keeps
the handle of the smallest key below each child: there are no copies of keys. Order is that of memcmp, a prefix before
what it begins. What holds: the nodes of a level are linked in order; only the root may be an empty leaf, and an inner
root has two children at least; handles[i] of an inner node is handles[0] of child i.

Nodes live in an arena of the index's own, whose pages count as the partition's do. `ordered_ready` makes sure that the
next insertion finds the nodes that it may need; all else needs no memory.

REQUIRES for all calls: the shard's lock; exclusively for what changes the index.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.node cimport Node, node_handles
from kvcy.engine.pages cimport PagePool

cdef enum:
    ORDERED_HEIGHT_MAX = 12        # levels: a tree of 2^32 keys has 6

cdef enum OrderedEdge:
    EDGE_LOWEST                    # before all keys
    EDGE_INCLUSIVE                 # the bound itself belongs to the range
    EDGE_EXCLUSIVE
    EDGE_HIGHEST                   # behind all keys

cdef struct OrderedBound:          # an end of a range; the bytes are borrowed
    OrderedEdge edge
    const char* data
    size_t size

cdef struct OrderedPlace:          # of a key, valid until the index changes
    uint32_t node                  # the leaf; 0: no key
    uint32_t at

cdef struct OrderedIndex:
    Arena nodes
    PagePool* pool
    const Arena* entries           # the partition's
    uint64_t count                 # keys
    uint64_t boundary              # keys with hash bits below it are in the index: 1 << 32 when it is complete
    uint32_t root
    uint32_t height                # levels
    uint32_t spare                 # nodes kept ready, linked by `next`
    uint32_t spare_count

# An empty index over entries in `entries`, which must outlive it; NULL: no memory.
cdef OrderedIndex* ordered_new(const Arena* entries, PagePool* pool) noexcept nogil
cdef void ordered_free(OrderedIndex* index) noexcept nogil           # NULL is allowed
cdef uint64_t ordered_bytes(const OrderedIndex* index) noexcept nogil
# Makes sure that the next insertion cannot fail; false (nothing changed): there is no memory.
cdef bint ordered_ready(OrderedIndex* index) noexcept nogil
# REQUIRES: ordered_ready said yes since the last insertion; no entry of the index has the same key.
cdef void ordered_insert(OrderedIndex* index, uint32_t handle) noexcept nogil
# REQUIRES: the entry is in the index, and its key is still to be read.
cdef void ordered_remove(OrderedIndex* index, uint32_t handle) noexcept nogil
# The entry `old` is replaced by `new`. REQUIRES: both are to be read and have the same key.
cdef void ordered_moved(OrderedIndex* index, uint32_t old, uint32_t new) noexcept nogil

# Fetches the root into the cache, for a search that will follow.
cdef void ordered_prefetch(const OrderedIndex* index) noexcept nogil
# The first key behind the bound, or with `reverse` the last one before it (an inclusive bound is there itself).
cdef OrderedPlace ordered_seek(const OrderedIndex* index, const OrderedBound* bound, bint reverse) noexcept nogil
# The next key, or with `reverse` the one before. REQUIRES: place.node != 0.
cdef OrderedPlace ordered_step(const OrderedIndex* index, OrderedPlace place, bint reverse) noexcept nogil
# Keys from `first` to `last`, both included, as far as `leaves_max` leaves reach; *first moves to the first key that
# was not counted, to no key when all were.
# REQUIRES: `first` is not behind `last`, and neither is no key.
cdef uint64_t ordered_count(const OrderedIndex* index, OrderedPlace* first, OrderedPlace last,
                            uint32_t leaves_max) noexcept nogil
# Whether the entry with this key lies beyond the bound of a walk that came from the other side.
cdef bint ordered_beyond(const Entry* entry, const OrderedBound* bound, bint reverse) noexcept nogil


cdef inline Node* ordered_node(const OrderedIndex* index, uint32_t node) noexcept nogil:
    return <Node*> arena_at(&index.nodes, node)


cdef inline uint32_t ordered_handle(const OrderedIndex* index, OrderedPlace place) noexcept nogil:
    """The entry's handle. REQUIRES: place.node != 0."""
    return node_handles(ordered_node(index, place.node))[place.at]


cdef inline Entry* ordered_entry(const OrderedIndex* index, OrderedPlace place) noexcept nogil:
    """REQUIRES: place.node != 0."""
    return <Entry*> arena_at(index.entries, ordered_handle(index, place))
