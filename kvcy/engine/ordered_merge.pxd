# cython: language_level=3
"""From the buffer of an ordered index into its tree."""
from kvcy.engine.ordered_index cimport OrderedIndex

# Makes room in the full buffer for at least one key; false: there is no memory. Takes some 30 us, at most about 200.
# REQUIRES: the shard locked exclusively.
cdef bint ordered_make_room(OrderedIndex* index) noexcept nogil
