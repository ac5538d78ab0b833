# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The tree of an ordered index: see ordered_tree.pxd.

Growing: a full node is split in halves, but where keys seem to come in order one of the two stays full: at the ends of
the key space, and nearly where the new key is one of the node's last or first.
Shrinking: a node less than a third full is merged with a neighbour under the same parent when both fill at most three
quarters; an empty one goes. So two neighbours together fill more than a third of one node.
"""
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy

from kvcy.engine.arena cimport arena_alloc, arena_free
from kvcy.engine.node cimport (
    NODE_BYTES, key_of, node_beginning, node_copy, node_handles, node_lengthen, node_max, node_put, node_set,
    node_shorten, node_take, node_undigit, shared_bytes, word_size)
from kvcy.engine.ordered_index cimport ORDERED_HEIGHT_MAX
from kvcy.engine.platform cimport invariant

cdef enum:
    LENGTHENED = 16                # an inner node may be whenever so many children have come


# --- nodes

cdef uint32_t node_new(OrderedIndex* index) noexcept nogil:
    cdef uint32_t id = index.spare
    cdef Node* node = ordered_node(index, id)
    invariant(index.spare_count > 0)
    index.spare = node.next
    index.spare_count -= 1
    node.count = 0
    node.level = 0
    node.skip = 0
    node.digits = False
    node.previous = 0
    node.next = 0
    return id


cdef void node_free(OrderedIndex* index, uint32_t id) noexcept nogil:
    """Unlinks the node from its neighbours and frees it, or keeps it as a spare one."""
    cdef Node* node = ordered_node(index, id)
    if node.previous:
        ordered_node(index, node.previous).next = node.next
    if node.next:
        ordered_node(index, node.next).previous = node.previous
    if index.spare_count <= index.height:
        node.next = index.spare
        index.spare = id
        index.spare_count += 1
    else:
        arena_free(&index.nodes, index.pool, id)


cdef bint nodes_ready(OrderedIndex* index) noexcept nogil:
    cdef uint32_t id
    if index.height == ORDERED_HEIGHT_MAX:
        return False
    while index.spare_count <= index.height:       # a split in every level, and a new root
        id = arena_alloc(&index.nodes, index.pool, NODE_BYTES)
        if id == 0:
            return False
        ordered_node(index, id).next = index.spare
        index.spare = id
        index.spare_count += 1
    return True


# --- splitting and merging

cdef uint32_t node_beside(OrderedIndex* index, uint32_t id) noexcept nogil:
    cdef uint32_t right_id = node_new(index)
    cdef Node* node = ordered_node(index, id)
    cdef Node* right = ordered_node(index, right_id)
    right.level = node.level
    right.skip = node.skip
    right.digits = node.digits
    memcpy(right.prefix, node.prefix, node.skip)
    right.previous = id
    right.next = node.next
    if node.next:
        ordered_node(index, node.next).previous = right_id
    node.next = right_id
    return right_id


cdef uint32_t node_split(OrderedIndex* index, uint32_t id, uint32_t at) noexcept nogil:
    """Moves a part of a full node, into which something is to come at `at`, into a new right neighbour."""
    cdef Node* node = ordered_node(index, id)
    cdef uint32_t keep = node.count >> 1
    cdef uint32_t right_id
    cdef Node* right
    if at == node.count and node.next == 0:
        keep = node.count
    elif at == 0 and node.previous == 0:
        keep = 1
    elif at >= <uint32_t> node.count * 15 >> 4:
        keep = <uint32_t> node.count * 15 >> 4
    elif at <= <uint32_t> node.count >> 4:
        keep = <uint32_t> node.count >> 4
    right_id = node_beside(index, id)
    right = ordered_node(index, right_id)
    right.count = <uint16_t> (node.count - keep)
    node_copy(right, 0, node, keep, right.count)
    node.count = <uint16_t> keep
    node_lengthen(index.entries, node)
    node_lengthen(index.entries, right)
    return right_id


cdef void node_absorb(OrderedIndex* index, Node* left, uint32_t right_id) noexcept nogil:
    """Moves all of the right neighbour into `left`, and frees it. REQUIRES: room."""
    cdef Node* right = ordered_node(index, right_id)
    cdef size_t shared = shared_bytes(left.prefix, right.prefix, min(left.skip, right.skip))
    node_shorten(left, shared)
    node_shorten(right, shared)
    if left.digits != right.digits:
        node_undigit(left)
        node_undigit(right)
    node_copy(left, left.count, right, 0, right.count)
    left.count += right.count
    node_free(index, right_id)


# --- changing

cdef void root_grow(OrderedIndex* index, uint32_t handle, uint32_t child, const Bytes* key) noexcept nogil:
    """A root above the old one and its new right neighbour."""
    cdef uint32_t id = node_new(index)
    cdef Node* root = ordered_node(index, id)
    cdef uint32_t first = node_handles(ordered_node(index, index.root))[0]
    cdef Bytes first_key = key_of(index.entries, first)
    root.level = <uint8_t> index.height
    node_put(root, 0, first, index.root, &first_key)
    node_put(root, 1, handle, child, key)
    index.root = id
    index.height += 1


cdef void first_changed(OrderedIndex* index, const Path* path, uint32_t level, uint32_t handle) noexcept nogil:
    cdef Bytes key = key_of(index.entries, handle)
    while level < index.height:
        node_set(ordered_node(index, path.nodes[level]), path.places[level], handle, &key)
        if path.places[level]:
            return
        level += 1


cdef void put_at(OrderedIndex* index, const Path* path, uint32_t level, uint32_t handle, uint32_t child,
                 Bytes key) noexcept nogil:
    """Inserts into the path's node of this level, above the leaves a child behind the one that was taken."""
    cdef uint32_t at, right_id
    cdef Node* node
    cdef Node* right
    while True:                                    # ends: at the root at the latest
        node = ordered_node(index, path.nodes[level])
        at = path.places[level] + (1 if level else 0)
        if node.count < node_max(node):
            node_put(node, at, handle, child, &key)
            if level and node.count % LENGTHENED == 0:
                node_lengthen(index.entries, node)
            return
        right_id = node_split(index, path.nodes[level], at)
        right = ordered_node(index, right_id)
        if at > node.count or right.count == 0:
            node_put(right, at - node.count, handle, child, &key)
        else:
            node_put(node, at, handle, child, &key)
        handle = node_handles(right)[0]
        key = key_of(index.entries, handle)
        child = right_id
        level += 1
        if level == index.height:
            root_grow(index, handle, child, &key)
            return


cdef bint tree_insert(OrderedIndex* index, const Path* path, Bytes key, uint32_t handle) noexcept nogil:
    cdef const Node* leaf = ordered_node(index, path.nodes[0])
    cdef bint splits = leaf.count == node_max(leaf)
    if path.places[0] == 0:
        first_changed(index, path, 1, handle)
    put_at(index, path, 0, handle, 0, key)
    return splits


cdef void tree_link(OrderedIndex* index, const Path* path, uint32_t right_id) noexcept nogil:
    cdef Node* right = ordered_node(index, right_id)
    cdef uint32_t handle = node_handles(right)[0]
    cdef char[59] beginning                        # NODE_BEGINNING_MAX
    cdef const Node* parent
    cdef Bytes key
    node_lengthen(index.entries, ordered_node(index, path.nodes[0]))
    node_lengthen(index.entries, right)
    if index.height == 1:
        key = key_of(index.entries, handle)
        root_grow(index, handle, right_id, &key)
        return
    parent = ordered_node(index, path.nodes[1])
    key.data = beginning
    key.size = node_beginning(right, beginning)
    if parent.count == node_max(parent) or parent.skip + word_size(parent) > key.size:
        key = key_of(index.entries, handle)        # read only where more of it is needed than the leaf tells
    put_at(index, path, 1, handle, right_id, key)


cdef uint32_t merge(OrderedIndex* index, const Path* path, uint32_t level) noexcept nogil:
    """Merges the path's node, which is hardly used, with a neighbour; the place in the parent that has gone, or 0."""
    cdef const Node* parent = ordered_node(index, path.nodes[level + 1])
    cdef uint32_t place = path.places[level + 1]
    cdef Node* node = ordered_node(index, path.nodes[level])
    cdef uint32_t most = node_max(node) * 3 >> 2
    cdef Node* other
    if place + 1 < parent.count:
        other = ordered_node(index, node.next)
        if node.count + other.count <= most:
            node_absorb(index, node, node.next)
            return place + 1
    if place:
        other = ordered_node(index, node.previous)
        if node.count + other.count <= most:
            node_absorb(index, other, path.nodes[level])
            return place
    return 0


cdef void tree_remove(OrderedIndex* index, const Path* path) noexcept nogil:
    cdef uint32_t level = 0
    cdef uint32_t place = path.places[0]
    cdef uint32_t root
    cdef Node* node
    while True:                                    # ends: at the root at the latest
        node = ordered_node(index, path.nodes[level])
        node_take(node, place)
        if place == 0 and node.count:
            first_changed(index, path, level + 1, node_handles(node)[0])
        if level + 1 == index.height:
            break
        if node.count == 0:
            place = path.places[level + 1]
            node_free(index, path.nodes[level])
        elif node.count < node_max(node) // 3:
            place = merge(index, path, level)
            if place == 0:
                break
        else:
            break
        level += 1
    node = ordered_node(index, index.root)
    while node.level and node.count == 1:
        root = index.root
        index.root = node_children(node)[0]
        index.height -= 1
        node_free(index, root)
        node = ordered_node(index, index.root)
