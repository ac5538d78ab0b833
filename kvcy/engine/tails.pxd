# cython: language_level=3
"""The oldest entry of all shards: what exact LRU, and the policies with queues, choose.

The lists of a shard have their oldest entries at their tails, and Entry.access tells how old: a *place*, that is the
tick of the last access or the number under which an entry was queued. Of each shard a position is published, for each
*row* (LRU, or a queue), that is not behind any of its tails. The shard with the oldest is locked; if its tail proves
younger, the position is corrected and the search goes on. So the order is global to the exactness of places, and exact
within a shard, while finding the shard is one pass over an array of integers.

The victim's entry and its slot would be misses of the cache. So of each shard and row it is also told where its oldest
lies, and at the end of a step what is to go next is fetched.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.partition cimport Partition
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef struct Order:
    const Policy* policy         # partitions that do not know of it yet are told
    uint32_t row                 # of the published positions
    uint32_t lists               # a bit for each list (partition.pxd) that takes part
    uint32_t mask                # of the bits of Entry.access that are the place
    uint64_t position            # where places are now
    int64_t now_ms

cdef struct Tail:
    Partition* partition
    uint32_t shard
    uint32_t handle              # 0: none
    uint32_t list
    int database
    uint64_t age                 # positions since its place

# Finds the oldest and leaves its shard locked exclusively. False: there is none. REQUIRES: no lock held.
cdef bint tails_oldest(Keyspace* keyspace, const Order* order, Tail* tail) noexcept nogil
# Evicts it. REQUIRES: tails_oldest has found it, and tails_done comes.
cdef void tails_evict(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil
# The end of what was begun by tails_oldest: publishes anew and unlocks.
cdef void tails_done(Keyspace* keyspace, const Order* order, const Tail* tail) noexcept nogil
# An entry has come to a list otherwise than with a new place: publishes. REQUIRES: the shard locked exclusively.
cdef void tails_publish(Keyspace* keyspace, const Order* order, uint32_t shard) noexcept nogil
# Fetches what will be the oldest of all shards next, if nothing else happens: nobody has to wait for it then. Answers
# the hash (key_hash) of its key; what is not known, or stale, gives another one. No lock needed.
cdef uint64_t tails_ahead(const Keyspace* keyspace, const Order* order) noexcept nogil
# Nothing is known of any shard. No lock needed.
cdef void tails_forget(Keyspace* keyspace) noexcept nogil
