# cython: language_level=3
"""What an ordered index consists of: see ordered.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.node cimport Node
from kvcy.engine.ordered_buffer cimport OrderedBuffer
from kvcy.engine.pages cimport PagePool

cdef enum:
    ORDERED_HEIGHT_MAX = 12        # levels: a tree of 2^32 keys has 6

cdef struct OrderedIndex:          # first, in one line of the cache, what an insertion looks at
    uint64_t count                 # keys
    uint64_t boundary              # keys with hash bits below it are in the index: 1 << 32 when it is complete
    OrderedBuffer buffer
    Arena nodes
    PagePool* pool
    const Arena* entries           # the partition's
    uint32_t root
    uint32_t height                # levels
    uint32_t spare                 # nodes kept ready, linked by `next`
    uint32_t spare_count


cdef inline Node* ordered_node(const OrderedIndex* index, uint32_t node) noexcept nogil:
    return <Node*> arena_at(&index.nodes, node)
