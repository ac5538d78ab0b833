# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The watched keys of one shard: see watchlist.pxd. The table doubles as it fills, and goes with the last key."""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from kvcy.engine.platform cimport invariant, store_release_u32

cdef enum:
    BUCKETS_MIN = 4


cdef Watched* watchlist_find(const WatchTable* table, int database, uint32_t bits, const char* key,
                             size_t size) noexcept nogil:
    cdef Watched* watched = table.buckets[bits & table.mask]
    while watched != NULL:               # ends: a chain is finite
        if watched.bits == bits and watched.database == database and watched.size == size \
                and memcmp(watched.key, key, size) == 0:
            return watched
        watched = watched.next
    return NULL


cdef inline void link(WatchTable* table, Watched* watched) noexcept nogil:
    cdef Watched** bucket = &table.buckets[watched.bits & table.mask]
    watched.next = bucket[0]
    bucket[0] = watched


cdef WatchTable* table_new() noexcept nogil:
    cdef WatchTable* table = <WatchTable*> malloc(sizeof(WatchTable))
    if table == NULL:
        return NULL
    table.count = 0
    table.mask = BUCKETS_MIN - 1
    table.buckets = <Watched**> calloc(BUCKETS_MIN, sizeof(Watched*))
    if table.buckets == NULL:
        free(table)
        return NULL
    return table


cdef void table_free_if_empty(WatchTable** table) noexcept nogil:
    if table[0].count == 0:
        free(table[0].buckets)
        free(table[0])
        table[0] = NULL


cdef void table_grow(WatchTable* table) noexcept nogil:
    """Twice as many buckets, if there is memory."""
    cdef Watched** old = table.buckets
    cdef Watched** buckets = <Watched**> calloc(2 * (<size_t> table.mask + 1), sizeof(Watched*))
    cdef uint32_t i, count = table.mask + 1
    cdef Watched* watched
    cdef Watched* following
    if buckets == NULL:
        return
    table.buckets = buckets
    table.mask = 2 * table.mask + 1
    for i in range(count):
        watched = old[i]
        while watched != NULL:
            following = watched.next
            link(table, watched)
            watched = following
    free(old)


cdef Watched* watchlist_get(WatchTable* table, int database, uint32_t bits, const char* key,
                            size_t size) noexcept nogil:
    """The key's Watched, made if there is none yet; NULL when there is no memory."""
    cdef Watched* watched = watchlist_find(table, database, bits, key, size)
    if watched != NULL:
        return watched
    watched = <Watched*> malloc(sizeof(Watched) + size)
    if watched == NULL:
        return NULL
    watched.database = database
    watched.bits = bits
    watched.size = size
    watched.watches = NULL
    memcpy(watched.key, key, size)
    if table.count > table.mask:
        table_grow(table)
    link(table, watched)
    table.count += 1
    return watched


cdef void watchlist_drop(WatchTable* table, Watched* watched) noexcept nogil:
    """Frees a Watched that nobody watches any more."""
    cdef Watched** place = &table.buckets[watched.bits & table.mask]
    invariant(watched.watches == NULL)
    while place[0] != watched:
        invariant(place[0] != NULL)
        place = &place[0].next
    place[0] = watched.next
    table.count -= 1
    free(watched)


cdef bint add(WatchTable* table, Watcher* watcher, uint32_t shard, int database, uint32_t bits, const char* key,
              size_t size) noexcept nogil:
    cdef Watched* watched = watchlist_get(table, database, bits, key, size)
    cdef Watch* watch
    if watched == NULL:
        return False
    watch = watched.watches
    while watch != NULL:
        if watch.watcher == watcher:
            return True
        watch = watch.next
    watch = <Watch*> malloc(sizeof(Watch))
    if watch == NULL:
        if watched.watches == NULL:
            watchlist_drop(table, watched)
        return False
    watch.watcher = watcher
    watch.watched = watched
    watch.shard = shard
    watch.next = watched.watches
    watched.watches = watch
    watch.next_of_watcher = watcher.watches
    watcher.watches = watch
    watcher.count += 1
    return True


cdef bint watchlist_add(WatchTable** table, Watcher* watcher, uint32_t shard, int database, uint32_t bits,
                        const char* key, size_t size) noexcept nogil:
    cdef bint added
    if table[0] == NULL:
        table[0] = table_new()
        if table[0] == NULL:
            return False
    added = add(table[0], watcher, shard, database, bits, key, size)
    table_free_if_empty(table)
    return added


cdef void watchlist_remove(WatchTable** table, Watch* watch) noexcept nogil:
    cdef Watched* watched = watch.watched
    cdef Watch** place = &watched.watches
    invariant(watch.watcher.watches == watch)
    while place[0] != watch:
        invariant(place[0] != NULL)
        place = &place[0].next
    place[0] = watch.next
    watch.watcher.watches = watch.next_of_watcher
    watch.watcher.count -= 1
    free(watch)
    if watched.watches == NULL:
        watchlist_drop(table[0], watched)
        table_free_if_empty(table)


cdef void watchlist_touch(const WatchTable* table, int database, uint32_t bits, const char* key,
                          size_t size) noexcept nogil:
    cdef const Watched* watched = watchlist_find(table, database, bits, key, size)
    if watched != NULL:
        watched_touch(watched)


cdef void watched_touch(const Watched* watched) noexcept nogil:
    cdef Watch* watch = watched.watches
    while watch != NULL:
        store_release_u32(&watch.watcher.dirty, 1)
        watch = watch.next
