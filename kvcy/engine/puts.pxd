# cython: language_level=3
"""Several keys set at once: all of them, or none because there is no memory. MSET, MSETNX."""
from libc.stdint cimport uint32_t

from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Key
from kvcy.engine.status cimport Status

# As keyspace_put for keys[i] and values[i * stride], without expiries; of a key that comes twice the last value stays.
# OK, or NO_MEMORY or TOO_LARGE: then no key has changed but those that had expired, which are removed.
# REQUIRES: as keyspace_put for each key; with a log, access.group.
cdef Status keyspace_put_all(Access* access, const Key* keys, const Bytes* values, uint32_t stride,
                             uint32_t count) noexcept nogil
