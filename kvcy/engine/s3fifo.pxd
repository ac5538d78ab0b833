# cython: language_level=3
"""S3-FIFO (Yang et al., SOSP 2023): a small queue that new keys must survive, a main one, and the ghosts of the rest.

A new key enters the small queue, a tenth of all entries. At its end it goes on to the main queue if it was used twice
or more since, else it is evicted and its hash kept as a ghost. A key that comes back while its ghost is remembered
(until as many more have gone as there are entries) goes straight to the main queue. There the oldest goes, unless it
was used: then it loses one use (of 3 at most) and comes to the head again. So a scan passes through the small queue and
leaves the main one alone.

A shard keeps the ghosts of its keys, 8 bytes each: 32 bits of the hash, and the number of its departure.
"""
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.partition cimport AccessKind
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef AccessKind s3fifo_kind
cdef bint s3fifo_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
# Fetches what is remembered of a key with this hash (key_hash). No lock needed.
cdef void s3fifo_prefetch(const Keyspace* keyspace, uint64_t hash) noexcept nogil
