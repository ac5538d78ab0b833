# cython: language_level=3
"""What is counted of a command that ran."""
from libc.stdint cimport uint64_t
from kvcy.commands.types cimport Call

# Adds the time since `start` (cycles.pxd) to the row's, and notes a slow command. REQUIRES: no shard lock, but EXEC's.
cdef void account_time(Call* call, uint64_t start) noexcept nogil
# The command answered with an error: `reply` is its reply, of which `size` bytes are there.
cdef void account_error(Call* call, const char* reply, size_t size) noexcept nogil
