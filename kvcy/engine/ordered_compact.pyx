# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compaction of an ordered index: see ordered_compact.pxd.

A node is named in its parent and by its two neighbours, and the root in the index. The parent is found by descending
with the node's smallest key.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kvcy.engine.arena cimport (
    arena_alloc, arena_cell, arena_evacuate, arena_evacuate_end, arena_free, arena_sparse_page, arena_used_cells)
from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport NODE_BYTES, Node, key_of, node_children, node_handles, node_rank
from kvcy.engine.ordered_index cimport ordered_node
from kvcy.engine.platform cimport invariant


cdef bint drop_spare(OrderedIndex* index, uint32_t id) noexcept nogil:
    """Takes the node from the spare ones and frees it, if it is one."""
    cdef uint32_t* place = &index.spare
    while place[0] and place[0] != id:
        place = &ordered_node(index, place[0]).next
    if place[0] == 0:
        return False
    place[0] = ordered_node(index, id).next
    index.spare_count -= 1
    arena_free(&index.nodes, index.pool, id)
    return True


cdef uint32_t* name_of(OrderedIndex* index, uint32_t id) noexcept nogil:
    """Where the node's parent, or the index, names it."""
    cdef const Node* node = ordered_node(index, id)
    cdef const Node* parent = ordered_node(index, index.root)
    cdef uint32_t rank
    cdef Bytes key
    if id == index.root:
        return &index.root
    key = key_of(index.entries, node_handles(node)[0])
    while True:                      # ends: the node lies below the root
        rank = node_rank(index.entries, parent, key.data, key.size, True)
        invariant(rank > 0 and parent.level > node.level)
        if parent.level == node.level + 1:
            return &node_children(parent)[rank - 1]
        parent = ordered_node(index, node_children(parent)[rank - 1])


cdef bint node_move(OrderedIndex* index, uint32_t id) noexcept nogil:
    """Gives the node another cell; false when there is no memory."""
    cdef Node* node = ordered_node(index, id)
    cdef uint32_t* name
    cdef uint32_t new
    if drop_spare(index, id):
        return True
    new = arena_alloc(&index.nodes, index.pool, NODE_BYTES)
    if new == 0:
        return False
    name = name_of(index, id)
    invariant(name[0] == id)
    name[0] = new
    memcpy(ordered_node(index, new), node, NODE_BYTES)
    if node.previous:
        ordered_node(index, node.previous).next = new
    if node.next:
        ordered_node(index, node.next).previous = new
    arena_free(&index.nodes, index.pool, id)
    return True


cdef bint ordered_compact(OrderedIndex* index) noexcept nogil:
    cdef uint64_t[128] used          # ARENA_CELLS_MAX / 64
    cdef uint32_t page = arena_sparse_page(&index.nodes, index.nodes.pages[index.root >> 13].size_class)
    cdef uint32_t cells, cell
    if page == 0:
        return False
    cells = arena_used_cells(&index.nodes, page, used)
    arena_evacuate(&index.nodes, page)
    for cell in range(cells):
        if used[cell >> 6] >> (cell & 63) & 1 and not node_move(index, arena_cell(&index.nodes, page, cell)):
            break
    arena_evacuate_end(&index.nodes, page)
    return True
