# cython: language_level=3
"""What a thread of the embedded store has to do with the log."""
from libc.stdint cimport uint64_t

from kvcy.engine.shards cimport Keyspace

# Raises LogError when the log takes no writes now.
cdef int check_log(const Keyspace* keyspace) except -1
# Waits until the log is as durable up to `position` as its policy promises; LogError: it never will be.
cdef int wait_log(Keyspace* keyspace, uint64_t position) except -1
