# cython: language_level=3
"""WATCH, as a session sees it: over the keyspace's shards and locks.

A mutation of a watched key raises Watcher.dirty. A watched key that has expired counts as changed, whether or not it
has been removed yet; a key that had expired before it was watched is simply a missing key (as in Redis).
"""
from libc.stdint cimport uint32_t

from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Key, Keyspace, ShardSet
from kvcy.engine.watchlist cimport Watcher

# False when there is no memory. Watching a key twice counts once. REQUIRES: the key's shard locked exclusively.
cdef bint watch_add(Access* access, Watcher* watcher, const Key* key) noexcept nogil
# Ends all watches of the client, taking shard locks one by one. REQUIRES: no shard lock held.
cdef void watch_clear(Keyspace* keyspace, Watcher* watcher) noexcept nogil
# Ends up to `most` of them; whether none is left.
cdef bint watch_clear_some(Keyspace* keyspace, Watcher* watcher, uint32_t most) noexcept nogil
# Adds the shards of all watched keys to the set (for EXEC).
cdef void watch_shards(const Watcher* watcher, ShardSet* set) noexcept nogil
# Whether a watched key has changed or has expired since. What has expired is removed, each a record of its own.
# REQUIRES: the shards of watch_shards locked exclusively; the group is empty.
cdef bint watch_broken(Access* access, const Watcher* watcher) noexcept nogil
