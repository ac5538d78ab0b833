# cython: language_level=3
"""What an eviction policy is: a row of functions, and how one of its victims goes.

A policy says which keys may go, what an access leaves behind in Entry.access, whether reads move entries in the lists,
and how one step towards room is made. The rows are in eviction.pyx.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.entry cimport Entry
from kvcy.engine.partition cimport AccessKind, Partition
from kvcy.engine.shards cimport Keyspace, Shard

cdef struct Policy
# One step: evicts a key, or puts one elsewhere in the policy's order. False: there is none that may go, or other
# threads that evict were quicker. REQUIRES: no lock held.
ctypedef bint (*Step)(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
ctypedef int64_t (*Rank)(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil

cdef struct Policy:
    Step step                    # NULL: nothing is ever evicted
    const AccessKind* kind       # NULL: Entry.access holds the tick of the last access
    bint lasting                 # keys without an expiry may go too
    bint ordered                 # reads move entries in the lists
    Rank rank                    # among samples, the highest goes first (sampling.pyx)
    int samples

# Evicts the entry. An entry that has expired counts as expired. REQUIRES: the shard locked exclusively.
cdef void policy_evict(Keyspace* keyspace, uint32_t shard, int database, uint32_t handle,
                       int64_t now_ms) noexcept nogil
# How many keys of a shard may go, read without its lock; of a partition, under it.
cdef uint64_t policy_candidates(const Policy* policy, const Shard* shard) noexcept nogil
cdef uint64_t policy_candidates_in(const Policy* policy, const Partition* partition) noexcept nogil
