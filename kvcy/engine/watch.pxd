# cython: language_level=3
"""WATCH: which clients want to know that a key changed.

Each shard has a list of watched keys; each watched key a list of Watches. A mutation of a watched key raises `dirty` in
each Watcher. An expiry counts as a change only if the key was live when it was watched (as in Redis).
REQUIRES: the shard's lock exclusively for add, remove and touch; `dirty` is atomic.
"""
from libc.stdint cimport uint32_t
from kvcy.engine.keyspace cimport Access, Key, Keyspace, Shard, Watched

cdef struct Watch                        # one key one client watches; opaque

cdef struct Watcher:                     # in a client's session
    Watch* watches                       # the client's own list
    uint32_t dirty                       # atomic: a watched key has changed

# False when there is no memory. Watching a key twice counts once.
cdef bint watch_add(Access* access, Watcher* watcher, const Key* key) noexcept nogil
# Ends all watches of the client, taking shard locks one by one. REQUIRES: no shard lock held.
cdef void watch_clear(Keyspace* keyspace, Watcher* watcher) noexcept nogil
# Adds the shards of all watched keys to the set (for EXEC). `set` is a ShardSet*.
cdef void watch_shards(const Watcher* watcher, void* set) noexcept nogil
# Whether a watched key has changed or has expired since. REQUIRES: the shards of watch_shards locked.
cdef bint watch_broken(Access* access, const Watcher* watcher) noexcept nogil
# Called by the mutations. REQUIRES: the shard's lock exclusively.
cdef void watch_touch(Shard* shard, int database, const char* key, size_t size) noexcept nogil
cdef void watch_touch_database(Shard* shard, int database) noexcept nogil
