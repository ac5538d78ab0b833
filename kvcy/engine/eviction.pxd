# cython: language_level=3
"""Eviction: making room when more memory is used than maxmemory allows.

A policy (policy.pxd) is a row of a table in eviction.pyx. An eviction is a mutation like any other: it is logged,
counted, and shown to watchers.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.entry cimport Entry
from kvcy.engine.shards cimport Key, Keyspace

cdef enum EvictionResult:
    EVICTION_DONE = 0            # there is room
    EVICTION_RUNNING             # there is more to evict, but the slice was used up
    EVICTION_NOTHING             # there is not enough room, and nothing that may be evicted

# Chooses the policy by its place in POLICIES, 0 is noeviction. It is in force when eviction_adopt or the next
# eviction_upkeep has told the keys that are there; these take part with what Entry.access and the lists hold.
# False: no memory, nothing has changed.
# `tenacity` 0..100: how long one command may evict, as maxmemory-eviction-tenacity.
cdef bint eviction_configure(Keyspace* keyspace, uint32_t policy, uint32_t tenacity, uint32_t lfu_log_factor,
                             uint32_t lfu_decay_minutes) noexcept nogil
# Shard by shard. REQUIRES: no lock held; not while data are loaded.
cdef void eviction_adopt(Keyspace* keyspace, int64_t now_ms) noexcept nogil
# Evicts until keyspace_counted_bytes and `further_bytes` together are no more than keyspace.memory_bytes_max, or the
# slice is used up. REQUIRES: no lock held; the log, if there is one, takes writes.
cdef EvictionResult eviction_run(Keyspace* keyspace, int64_t now_ms, uint64_t further_bytes) noexcept nogil
# One step of the policy (policy.pxd), with what it returns. REQUIRES: as eviction_run.
cdef bint eviction_step(Keyspace* keyspace, int64_t now_ms) noexcept nogil
# What is to be done when no command comes: a slice, if there is a limit and it is passed. True: there is more to do.
cdef bint eviction_upkeep(Keyspace* keyspace, int64_t now_ms) noexcept nogil
# Whether Entry.access holds ticks: keyspace_idle_s means something.
cdef bint eviction_notes_ticks(const Keyspace* keyspace) noexcept nogil
# Whether Entry.access counts accesses, and the count as it has decayed until now.
cdef bint eviction_counts_accesses(const Keyspace* keyspace) noexcept nogil
cdef uint32_t eviction_frequency(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil
# Fetches what the policy remembers of the key, if it does: it is looked at when the key is used or comes.
cdef void eviction_prefetch(const Keyspace* keyspace, const Key* key) noexcept nogil
