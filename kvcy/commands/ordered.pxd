# cython: language_level=3
"""Commands on ranges of keys, in order."""
from kvcy.commands.types cimport Call
from kvcy.engine.block cimport Bytes
from kvcy.engine.ranging cimport KeyRange

# Answers KEYS by the ordered index. False, and nothing was done: the pattern is no prefix with a star behind it, or
# there is no index.
cdef bint keys_by_index(Call* call, const Bytes* pattern) noexcept nogil
# The range of the keys that begin with the prefix. `end` has room for `size` bytes; the range borrows both.
cdef void prefix_range(KeyRange* keys, const char* prefix, size_t size, char* end) noexcept nogil
