# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The ordered index of a partition: see ordered.pxd.

Growing: a full node is split in halves, but at the ends of the key space, where keys come in order, it stays full.
Shrinking: a node less than a third full is merged with a neighbour under the same parent when both fill at most three
quarters; an empty one goes. So two neighbours together fill more than a third of one node.
"""
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy

from kvcy.engine.arena cimport arena_alloc, arena_clear, arena_free
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport entry_key
from kvcy.engine.memory cimport memory_free, memory_new_lines
from kvcy.engine.node cimport (
    NODE_BYTES, bytes_order, key_of, node_children, node_copy, node_lengthen, node_max, node_put, node_rank, node_set,
    node_shorten, node_take, shared_bytes)
from kvcy.engine.platform cimport invariant, prefetch

cdef struct Path:                      # from the root to a leaf, by level
    uint32_t[12] nodes                 # ORDERED_HEIGHT_MAX
    uint32_t[12] places                # of the child that was taken; in the leaf, how many keys lie before


# --- life

cdef uint32_t node_new(OrderedIndex* index) noexcept nogil:
    """A node from the spare ones, empty. REQUIRES: ordered_ready."""
    cdef uint32_t id = index.spare
    cdef Node* node = ordered_node(index, id)
    invariant(index.spare_count > 0)
    index.spare = node.next
    index.spare_count -= 1
    node.count = 0
    node.level = 0
    node.skip = 0
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


cdef OrderedIndex* ordered_new(const Arena* entries, PagePool* pool) noexcept nogil:
    cdef OrderedIndex* index = <OrderedIndex*> memory_new_lines(sizeof(OrderedIndex))
    invariant(sizeof(Node) == NODE_BYTES)
    if index == NULL:
        return NULL
    index.entries = entries
    index.pool = pool
    if not ordered_ready(index):
        ordered_free(index)
        return NULL
    index.root = node_new(index)
    index.height = 1
    return index


cdef void ordered_free(OrderedIndex* index) noexcept nogil:
    if index == NULL:
        return
    arena_clear(&index.nodes, index.pool)
    memory_free(index)


cdef uint64_t ordered_bytes(const OrderedIndex* index) noexcept nogil:
    return sizeof(OrderedIndex) + index.nodes.page_bytes


cdef inline void node_prefetch(const Node* node, bint whole) noexcept nogil:
    """Fetches what a search reads, all at once; with `whole` also what an insertion into a leaf moves."""
    cdef const char* at = <const char*> node
    cdef size_t line
    for line in range(0, 448, 64):             # the header and the words of a node that is 80 % full
        prefetch(at + line)
    if whole:
        for line in range(512, 896, 64):       # handles
            prefetch(at + line)


cdef bint ordered_ready(OrderedIndex* index) noexcept nogil:
    cdef uint32_t id
    if index.root:
        node_prefetch(ordered_node(index, index.root), False)
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

cdef uint32_t node_split(OrderedIndex* index, uint32_t id, uint32_t at) noexcept nogil:
    """Moves a part of a full node, into which something is to come at `at`, into a new right neighbour."""
    cdef uint32_t right_id = node_new(index)
    cdef Node* node = ordered_node(index, id)
    cdef Node* right = ordered_node(index, right_id)
    cdef uint32_t keep = node.count >> 1
    if at == node.count and node.next == 0:
        keep = node.count
    elif at == 0 and node.previous == 0:
        keep = 1
    right.level = node.level
    right.skip = node.skip
    memcpy(right.prefix, node.prefix, node.skip)
    right.count = <uint16_t> (node.count - keep)
    node_copy(right, 0, node, keep, right.count)
    node.count = <uint16_t> keep
    right.previous = id
    right.next = node.next
    if node.next:
        ordered_node(index, node.next).previous = right_id
    node.next = right_id
    node_lengthen(index.entries, node)
    node_lengthen(index.entries, right)
    return right_id


cdef void node_absorb(OrderedIndex* index, Node* left, uint32_t right_id) noexcept nogil:
    """Moves all of the right neighbour into `left`, and frees it. REQUIRES: room."""
    cdef Node* right = ordered_node(index, right_id)
    cdef size_t shared = shared_bytes(left.prefix, right.prefix, min(left.skip, right.skip))
    node_shorten(left, shared)
    node_shorten(right, shared)
    node_copy(left, left.count, right, 0, right.count)
    left.count += right.count
    node_free(index, right_id)


# --- searching

cdef inline void find_path(const OrderedIndex* index, const Bytes* key, Path* path) noexcept nogil:
    """The way to the leaf where the key is, or belongs."""
    cdef uint32_t level = index.height - 1
    cdef uint32_t id = index.root
    cdef const Node* node = ordered_node(index, id)
    cdef uint32_t rank
    while level:
        rank = node_rank(index.entries, node, key.data, key.size, True)
        path.nodes[level] = id
        path.places[level] = rank - 1 if rank else 0
        id = node_children(node)[path.places[level]]
        node = ordered_node(index, id)
        level -= 1
        node_prefetch(node, level == 0)
    path.nodes[0] = id
    path.places[0] = node_rank(index.entries, node, key.data, key.size, False)


cdef OrderedPlace place_of(const OrderedIndex* index, uint32_t id, uint32_t rank, bint reverse) noexcept nogil:
    """The key behind the first `rank` keys of the leaf (or with `reverse` the last of them), maybe in the next leaf."""
    cdef const Node* node = ordered_node(index, id)
    cdef OrderedPlace place
    place.node = id
    if not reverse:
        place.at = rank
        if rank == node.count:
            place.node = node.next
            place.at = 0
    elif rank:
        place.at = rank - 1
    else:
        place.node = node.previous
        place.at = ordered_node(index, node.previous).count - 1 if node.previous else 0
    return place


cdef void ordered_prefetch(const OrderedIndex* index) noexcept nogil:
    node_prefetch(ordered_node(index, index.root), False)


cdef OrderedPlace ordered_seek(const OrderedIndex* index, const OrderedBound* bound, bint reverse) noexcept nogil:
    cdef const Node* node = ordered_node(index, index.root)
    cdef uint32_t id = index.root
    cdef uint32_t rank
    while node.level:
        if bound.edge == EDGE_LOWEST:
            rank = 0
        elif bound.edge == EDGE_HIGHEST:
            rank = node.count
        else:
            rank = node_rank(index.entries, node, bound.data, bound.size, True)
        id = node_children(node)[rank - 1 if rank else 0]
        node = ordered_node(index, id)
        node_prefetch(node, False)
    if bound.edge == EDGE_LOWEST:
        rank = 0
    elif bound.edge == EDGE_HIGHEST:
        rank = node.count
    else:
        rank = node_rank(index.entries, node, bound.data, bound.size, (bound.edge == EDGE_EXCLUSIVE) != reverse)
    return place_of(index, id, rank, reverse)


cdef OrderedPlace ordered_step(const OrderedIndex* index, OrderedPlace place, bint reverse) noexcept nogil:
    return place_of(index, place.node, place.at if reverse else place.at + 1, reverse)


cdef uint64_t ordered_count(const OrderedIndex* index, OrderedPlace* first, OrderedPlace last,
                            uint32_t leaves_max) noexcept nogil:
    cdef const Node* node
    cdef uint64_t total = 0
    while leaves_max and first.node != last.node:      # ends: `last` lies ahead
        node = ordered_node(index, first.node)
        total += node.count - first.at
        first.node = node.next
        first.at = 0
        leaves_max -= 1
    if first.node == last.node and leaves_max:
        total += last.at + 1 - first.at
        first.node = 0
    return total


cdef bint ordered_beyond(const Entry* entry, const OrderedBound* bound, bint reverse) noexcept nogil:
    cdef Bytes key
    cdef int order
    if bound.edge == EDGE_LOWEST or bound.edge == EDGE_HIGHEST:
        return (bound.edge == EDGE_LOWEST) != reverse
    key = entry_key(entry)
    order = bytes_order(key.data, key.size, bound.data, bound.size)
    if order == 0:
        return bound.edge == EDGE_EXCLUSIVE
    return (order > 0) != reverse


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
    """The smallest key below the path's node of the level below `level` is now that of `handle`."""
    cdef Bytes key = key_of(index.entries, handle)
    while level < index.height:
        node_set(ordered_node(index, path.nodes[level]), path.places[level], handle, &key)
        if path.places[level]:
            return
        level += 1


cdef void ordered_insert(OrderedIndex* index, uint32_t handle) noexcept nogil:
    cdef Bytes key = key_of(index.entries, handle)
    cdef uint32_t level = 0
    cdef uint32_t child = 0
    cdef uint32_t at, right_id
    cdef Node* node
    cdef Node* right
    cdef Path path
    find_path(index, &key, &path)
    index.count += 1
    if path.places[0] == 0:
        first_changed(index, &path, 1, handle)
    while True:                                    # ends: at the root at the latest
        node = ordered_node(index, path.nodes[level])
        at = path.places[level] + (1 if level else 0)
        if node.count < node_max(node):
            node_put(node, at, handle, child, &key)
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


cdef void ordered_remove(OrderedIndex* index, uint32_t handle) noexcept nogil:
    cdef Bytes key = key_of(index.entries, handle)
    cdef uint32_t level = 0
    cdef uint32_t place, root
    cdef Node* node
    cdef Path path
    find_path(index, &key, &path)
    invariant(node_handles(ordered_node(index, path.nodes[0]))[path.places[0]] == handle)
    place = path.places[0]
    index.count -= 1
    while True:                                    # ends: at the root at the latest
        node = ordered_node(index, path.nodes[level])
        node_take(node, place)
        if place == 0 and node.count:
            first_changed(index, &path, level + 1, node_handles(node)[0])
        if level + 1 == index.height:
            break
        if node.count == 0:
            place = path.places[level + 1]
            node_free(index, path.nodes[level])
        elif node.count < node_max(node) // 3:
            place = merge(index, &path, level)
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


cdef void ordered_moved(OrderedIndex* index, uint32_t old, uint32_t new) noexcept nogil:
    cdef Bytes key = key_of(index.entries, new)
    cdef uint32_t level = 0
    cdef Path path
    find_path(index, &key, &path)
    while level < index.height:
        invariant(node_handles(ordered_node(index, path.nodes[level]))[path.places[level]] == old)
        node_handles(ordered_node(index, path.nodes[level]))[path.places[level]] = new
        if path.places[level]:
            return
        level += 1
