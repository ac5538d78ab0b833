# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Policies: see policy.pxd."""
from libc.string cimport memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport entry_key
from kvcy.engine.events cimport EVENT_EVICTED
from kvcy.engine.keyspace cimport Access, keyspace_remove
from kvcy.engine.partition cimport LIST_VOLATILE
from kvcy.engine.platform cimport add_relaxed_u64, invariant, prefetch
from kvcy.engine.shards cimport Key, databases_total, keyspace_key
from kvcy.engine.table cimport table_count


cdef void policy_evict(Keyspace* keyspace, uint32_t shard, int database, uint32_t handle,
                       int64_t now_ms) noexcept nogil:
    cdef Partition* partition = keyspace.shards[shard].partitions[database]
    cdef const Entry* entry = <const Entry*> arena_at(&partition.arena, handle)
    cdef Bytes name = entry_key(entry)
    cdef Key key = keyspace_key(keyspace, name.data, name.size)
    cdef Access access
    invariant(key.shard == shard)
    prefetch(arena_at(&partition.arena, entry.previous))       # its neighbours in the list, which will be linked
    prefetch(arena_at(&partition.arena, entry.next))
    memset(&access, 0, sizeof(Access))
    access.keyspace = keyspace
    access.now_ms = now_ms
    access.database = database
    access.exclusive = True
    if keyspace_remove(&access, &key, EVENT_EVICTED):
        add_relaxed_u64(&keyspace.evicted_keys, 1)


cdef uint64_t policy_candidates(const Policy* policy, const Shard* shard) noexcept nogil:
    if policy.lasting:
        return databases_total(&shard.counts[0])
    return databases_total(&shard.volatile_counts[0])


cdef uint64_t policy_candidates_in(const Policy* policy, const Partition* partition) noexcept nogil:
    return table_count(&partition.table) if policy.lasting else partition.lists[LIST_VOLATILE].count
