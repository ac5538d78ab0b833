# cython: language_level=3
"""Moving the blocks of large values together, so that the memory between them goes back. A plan (block_heap.pxd)
says which.

A walk over all entries, in slices, each under its shard's exclusive lock. A block that somebody else refers to (a
client who is sent it, another key) stays where it is.
"""
from kvcy.engine.shards cimport Keyspace

# Goes on with the walk, or begins one if there is a reason. Whether there is more to do. One thread at a time.
cdef bint blocks_compact(Keyspace* keyspace) noexcept nogil
