# cython: language_level=3
"""Commands on ranges of keys, in order."""
from kvcy.commands.types cimport Call
from kvcy.engine.block cimport Bytes

# Answers KEYS by the ordered index. False, and nothing was done: the pattern is no prefix with a star behind it, or
# there is no index.
cdef bint keys_by_index(Call* call, const Bytes* pattern) noexcept nogil
