# cython: language_level=3
"""The watched keys of one shard, and who watches them: the part of WATCH that mutations call.

A shard has a table of Watched keys, chained in buckets by the keys' hash bits; each has a list of Watches, one a
client; a client's Watcher holds its own Watches in a second list. REQUIRES for all calls: the shard's lock,
exclusively. A Watcher's own list belongs to the client's thread.
"""
from libc.stdint cimport uint32_t

cdef struct Watched                      # one key that somebody watches
cdef struct Watch                        # one client's interest in it

cdef struct WatchTable:                  # of a shard; NULL when nothing is watched
    uint32_t count                       # watched keys
    uint32_t mask                        # buckets less one; there are at least as many as keys, unless memory is short
    Watched** buckets

cdef struct Watcher:                     # in a client's session; all zero at first
    Watch* watches                       # the client's own list
    uint32_t dirty                       # atomic: a watched key has changed
    uint32_t count                       # of the watches

cdef struct Watched:
    Watched* next                        # in its bucket
    Watch* watches
    int database
    uint32_t bits                        # of the key's hash
    size_t size
    char key[1]                          # the struct is over-allocated

cdef struct Watch:
    Watcher* watcher
    Watched* watched
    Watch* next                          # of the same key
    Watch* next_of_watcher
    uint32_t shard

# Adds a watch of the key to both lists (once, however often it is called). False when there is no memory.
cdef bint watchlist_add(WatchTable** table, Watcher* watcher, uint32_t shard, int database, uint32_t bits,
                        const char* key, size_t size) noexcept nogil
# Takes the watch, the first of its client's list, out of both lists, frees it, and the Watched when it was the last.
cdef void watchlist_remove(WatchTable** table, Watch* watch) noexcept nogil
# The key changed: raises `dirty` in all its watchers. REQUIRES: the table is there.
cdef void watchlist_touch(const WatchTable* table, int database, uint32_t bits, const char* key,
                          size_t size) noexcept nogil
# A watched key's watchers.
cdef void watched_touch(const Watched* watched) noexcept nogil
