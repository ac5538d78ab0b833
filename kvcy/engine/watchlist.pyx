# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The watched keys of one shard: see watchlist.pxd. Lists are short (what clients watch at a time): they are walked."""
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from kvcy.engine.platform cimport invariant, store_release_u32


cdef Watched* watchlist_find(Watched* list, int database, const char* key, size_t size) noexcept nogil:
    while list != NULL:
        if list.database == database and list.size == size and memcmp(list.key, key, size) == 0:
            return list
        list = list.next
    return NULL


cdef Watched* watchlist_get(Watched** list, int database, const char* key, size_t size) noexcept nogil:
    """The key's Watched, made if there is none yet; NULL when there is no memory."""
    cdef Watched* watched = watchlist_find(list[0], database, key, size)
    if watched != NULL:
        return watched
    watched = <Watched*> malloc(sizeof(Watched) + size)
    if watched == NULL:
        return NULL
    watched.database = database
    watched.size = size
    watched.watches = NULL
    memcpy(watched.key, key, size)
    watched.next = list[0]
    list[0] = watched
    return watched


cdef void watchlist_drop(Watched** list, Watched* watched) noexcept nogil:
    """Frees a Watched that nobody watches any more."""
    invariant(watched.watches == NULL)
    while list[0] != watched:
        invariant(list[0] != NULL)
        list = &list[0].next
    list[0] = watched.next
    free(watched)


cdef bint watchlist_add(Watched** list, Watcher* watcher, uint32_t shard, int database, const char* key,
                        size_t size) noexcept nogil:
    cdef Watched* watched = watchlist_get(list, database, key, size)
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
            watchlist_drop(list, watched)
        return False
    watch.watcher = watcher
    watch.watched = watched
    watch.shard = shard
    watch.next = watched.watches
    watched.watches = watch
    watch.next_of_watcher = watcher.watches
    watcher.watches = watch
    return True


cdef void watchlist_remove(Watched** list, Watch* watch) noexcept nogil:
    cdef Watched* watched = watch.watched
    cdef Watch** link = &watched.watches
    while link[0] != watch:
        invariant(link[0] != NULL)
        link = &link[0].next
    link[0] = watch.next
    free(watch)
    if watched.watches == NULL:
        watchlist_drop(list, watched)


cdef void watchlist_touch(Watched* list, int database, const char* key, size_t size) noexcept nogil:
    cdef Watched* watched = watchlist_find(list, database, key, size)
    cdef Watch* watch
    if watched == NULL:
        return
    watch = watched.watches
    while watch != NULL:
        store_release_u32(&watch.watcher.dirty, 1)
        watch = watch.next
