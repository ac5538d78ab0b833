# cython: language_level=3
"""The watched keys of one shard, and who watches them: the part of WATCH that mutations call.

A shard has a list of Watched keys; each has a list of Watches, one a client; a client's Watcher holds its own Watches
in a second list. REQUIRES for all calls: the shard's lock, exclusively. A Watcher's own list belongs to the client's
thread.
"""
from libc.stdint cimport uint32_t

cdef struct Watched                      # one key that somebody watches
cdef struct Watch                        # one client's interest in it

cdef struct Watcher:                     # in a client's session; all zero at first
    Watch* watches                       # the client's own list
    uint32_t dirty                       # atomic: a watched key has changed

cdef struct Watched:
    Watched* next                        # in the shard
    Watch* watches
    int database
    size_t size
    char key[1]                          # the struct is over-allocated

cdef struct Watch:
    Watcher* watcher
    Watched* watched
    Watch* next                          # of the same key
    Watch* next_of_watcher
    uint32_t shard

# Adds a watch of the key to both lists (once, however often it is called). False when there is no memory.
cdef bint watchlist_add(Watched** list, Watcher* watcher, uint32_t shard, int database, const char* key,
                        size_t size) noexcept nogil
# Takes the watch out of its key's list, frees it, and frees the Watched when it was the last.
cdef void watchlist_remove(Watched** list, Watch* watch) noexcept nogil
# The key changed: raises `dirty` in all its watchers.
cdef void watchlist_touch(Watched* list, int database, const char* key, size_t size) noexcept nogil
