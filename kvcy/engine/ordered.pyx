# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The ordered index of a partition: see ordered.pxd."""
from kvcy.engine.arena cimport arena_clear
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport entry_key
from kvcy.engine.memory cimport memory_free, memory_new_lines
from kvcy.engine.node cimport NODE_BYTES, Node, key_of, node_children, node_rank
from kvcy.engine.ordered_bound cimport EDGE_EXCLUSIVE, EDGE_HIGHEST, EDGE_LOWEST
from kvcy.engine.ordered_buffer cimport (
    BUFFER_CHUNKS_MIN, BUFFER_NONE, buffer_bytes, buffer_close, buffer_find, buffer_grow, buffer_remove)
from kvcy.engine.ordered_search cimport buffer_seek
from kvcy.engine.ordered_tree cimport (
    Path, find_leaf, find_rank, node_new, node_prefetch, nodes_ready, tree_remove)
from kvcy.engine.platform cimport invariant


# --- life

cdef OrderedIndex* ordered_new(const Arena* entries, PagePool* pool) noexcept nogil:
    cdef OrderedIndex* index = <OrderedIndex*> memory_new_lines(sizeof(OrderedIndex))
    invariant(sizeof(Node) == NODE_BYTES)
    if index == NULL:
        return NULL
    index.entries = entries
    index.pool = pool
    if not nodes_ready(index) or not buffer_grow(&index.buffer, BUFFER_CHUNKS_MIN):
        ordered_free(index)
        return NULL
    index.root = node_new(index)
    index.height = 1
    return index


cdef void ordered_free(OrderedIndex* index) noexcept nogil:
    if index == NULL:
        return
    buffer_close(&index.buffer)
    arena_clear(&index.nodes, index.pool)
    memory_free(index)


cdef uint64_t ordered_bytes(const OrderedIndex* index) noexcept nogil:
    return sizeof(OrderedIndex) + index.nodes.page_bytes + buffer_bytes(&index.buffer)


# --- searching

cdef inline bint find_entry(const OrderedIndex* index, const Bytes* key, uint32_t handle, Path* path) noexcept nogil:
    """The way to the entry; false: it is in the buffer."""
    cdef const Node* leaf
    find_leaf(index, key, path)
    find_rank(index, key, path)
    leaf = ordered_node(index, path.nodes[0])
    return path.places[0] < leaf.count and node_handles(leaf)[path.places[0]] == handle


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


cdef OrderedPlace ordered_seek_buffered(const OrderedIndex* index, const OrderedBound* bound,
                                        bint reverse) noexcept nogil:
    cdef OrderedPlace place
    place.at = buffer_seek(&index.buffer, index.entries, bound, reverse)
    place.node = 0 if place.at == BUFFER_NONE else PLACE_BUFFERED
    return place


cdef OrderedPlace ordered_step(const OrderedIndex* index, OrderedPlace place, bint reverse) noexcept nogil:
    cdef OrderedBound here
    cdef Bytes key
    if place.node != PLACE_BUFFERED:
        return place_of(index, place.node, place.at if reverse else place.at + 1, reverse)
    key = entry_key(ordered_entry(index, place))
    here.edge = EDGE_EXCLUSIVE
    here.data = key.data
    here.size = key.size
    return ordered_seek_buffered(index, &here, reverse)


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


# --- changing

cdef void ordered_remove(OrderedIndex* index, uint32_t handle) noexcept nogil:
    cdef Bytes key = key_of(index.entries, handle)
    cdef Path path
    index.count -= 1
    if find_entry(index, &key, handle, &path):
        tree_remove(index, &path)
    else:
        buffer_remove(&index.buffer, buffer_find(&index.buffer, handle, &key))


cdef void ordered_moved(OrderedIndex* index, uint32_t old, uint32_t new) noexcept nogil:
    cdef Bytes key = key_of(index.entries, new)
    cdef uint32_t level = 0
    cdef Path path
    if not find_entry(index, &key, old, &path):
        index.buffer.items[buffer_find(&index.buffer, old, &key)].handle = new
        return
    while level < index.height:
        invariant(node_handles(ordered_node(index, path.nodes[level]))[path.places[level]] == old)
        node_handles(ordered_node(index, path.nodes[level]))[path.places[level]] = new
        if path.places[level]:
            return
        level += 1
