# cython: language_level=3
"""The tree of an ordered index (ordered.pxd): its nodes, ways through it, changes to it."""
from libc.stdint cimport uint32_t

from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport NODE_BYTES, Node, node_children, node_rank
from kvcy.engine.ordered_index cimport OrderedIndex, ordered_node
from kvcy.engine.platform cimport prefetch

cdef struct Path:                      # from the root to a leaf, by level
    uint32_t[12] nodes                 # ORDERED_HEIGHT_MAX
    uint32_t[12] places                # of the child that was taken; in the leaf, how many keys lie before

# Makes sure that there are the nodes that inserting a key into the tree may need; false (nothing changed): no memory.
cdef bint nodes_ready(OrderedIndex* index) noexcept nogil
# A node from the spare ones, empty. REQUIRES: nodes_ready.
cdef uint32_t node_new(OrderedIndex* index) noexcept nogil
# Inserts where the path leads; true: nodes were split, so other paths are not valid any more. REQUIRES: nodes_ready.
cdef bint tree_insert(OrderedIndex* index, const Path* path, Bytes key, uint32_t handle) noexcept nogil
# An empty new right neighbour of the leaf, with the same prefix, which no parent knows. REQUIRES: nodes_ready.
cdef uint32_t node_beside(OrderedIndex* index, uint32_t id) noexcept nogil
# Lets the tree know it, now that it and the leaf at the end of the path have their keys: the end of a split.
cdef void tree_link(OrderedIndex* index, const Path* path, uint32_t right) noexcept nogil
# Takes out the key to which the path leads.
cdef void tree_remove(OrderedIndex* index, const Path* path) noexcept nogil
# The smallest key below the path's node of the level below `level` is now that of `handle`.
cdef void first_changed(OrderedIndex* index, const Path* path, uint32_t level, uint32_t handle) noexcept nogil


cdef inline void node_prefetch(const Node* node, bint whole) noexcept nogil:
    """Fetches what a search reads, all at once; with `whole` also what an insertion into a leaf moves."""
    cdef const char* at = <const char*> node
    cdef size_t end = NODE_BYTES if whole else 448             # the words of a node that is 80 % full
    cdef size_t line
    for line in range(0, end, 64):
        prefetch(at + line)


cdef inline uint32_t path_down(const OrderedIndex* index, Path* path, uint32_t level, uint32_t id,
                               uint32_t rank) noexcept nogil:
    """Takes the way from this node, `rank` keys of which do not lie behind; the child, which is fetched into the
    cache."""
    path.nodes[level] = id
    path.places[level] = rank - 1 if rank else 0
    id = node_children(ordered_node(index, id))[path.places[level]]
    node_prefetch(ordered_node(index, id), level == 1)
    return id


cdef inline void find_leaf(const OrderedIndex* index, const Bytes* key, Path* path) noexcept nogil:
    """The way to the leaf where the key is, or belongs, which is fetched into the cache."""
    cdef uint32_t level = index.height - 1
    cdef uint32_t id = index.root
    cdef const Node* node
    cdef uint32_t rank
    while level:
        node = ordered_node(index, id)
        rank = node_rank(index.entries, node, key.data, key.size, True)
        id = path_down(index, path, level, id, rank)
        level -= 1
    path.nodes[0] = id


cdef inline void find_rank(const OrderedIndex* index, const Bytes* key, Path* path) noexcept nogil:
    path.places[0] = node_rank(index.entries, ordered_node(index, path.nodes[0]), key.data, key.size, False)
