# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""WATCH over the keyspace: see watch.pxd."""
from libc.stdint cimport uint32_t

from kvcy.engine.keyspace cimport keyspace_peek
from kvcy.engine.operations cimport OpBuffer
from kvcy.engine.shards cimport Shard, keyspace_key, shard_lock, shard_unlock, shards_add
from kvcy.engine.platform cimport load_acquire_u32, store_relaxed_u32
from kvcy.engine.watchlist cimport Watch, watchlist_add, watchlist_remove


cdef bint watch_add(Access* access, Watcher* watcher, const Key* key) noexcept nogil:
    cdef Shard* shard = &access.keyspace.shards[key.shard]
    keyspace_peek(access, key)      # removes an expired entry, so that its end is not taken for a change
    return watchlist_add(&shard.watched, watcher, key.shard, access.database, key.bits, key.data, key.size)


cdef bint watch_clear_some(Keyspace* keyspace, Watcher* watcher, uint32_t most) noexcept nogil:
    cdef uint32_t shard
    while watcher.watches != NULL and most:
        shard = watcher.watches.shard
        shard_lock(keyspace, shard, True)
        watchlist_remove(&keyspace.shards[shard].watched, watcher.watches)
        shard_unlock(keyspace, shard, True)
        most -= 1
    return watcher.watches == NULL


cdef void watch_clear(Keyspace* keyspace, Watcher* watcher) noexcept nogil:
    watch_clear_some(keyspace, watcher, watcher.count)
    store_relaxed_u32(&watcher.dirty, 0)


cdef void watch_shards(const Watcher* watcher, ShardSet* set) noexcept nogil:
    cdef const Watch* watch = watcher.watches
    while watch != NULL:
        shards_add(set, watch.shard)
        watch = watch.next_of_watcher


cdef bint watch_broken(Access* access, const Watcher* watcher) noexcept nogil:
    cdef int database = access.database
    cdef OpBuffer* group = access.group
    cdef const Watch* watch = watcher.watches
    cdef Key key
    access.group = NULL
    while watch != NULL:             # peeking removes what has expired, which touches the watcher
        key = keyspace_key(access.keyspace, watch.watched.key, watch.watched.size)
        access.database = watch.watched.database
        keyspace_peek(access, &key)
        watch = watch.next_of_watcher
    access.database = database
    access.group = group
    return load_acquire_u32(&watcher.dirty) != 0
