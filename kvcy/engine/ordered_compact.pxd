# cython: language_level=3
"""Compaction of an ordered index: nodes leave pages that are hardly used, which then go back to the pool."""
from kvcy.engine.ordered_index cimport OrderedIndex

# Moves the nodes out of one such page; true when there may be more to do. REQUIRES: the shard locked exclusively.
cdef bint ordered_compact(OrderedIndex* index) noexcept nogil
