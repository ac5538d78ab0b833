# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A key's value given to another key: see rename.pxd."""
from libc.string cimport memcmp, memset

from kvcy.engine.entry cimport Entry, entry_value
from kvcy.engine.events cimport EVENT_NEW, event_raise, events_wanted
from kvcy.engine.holdings cimport Holdings, holdings_own, holdings_share
from kvcy.engine.journal cimport journal_commit, journal_ready
from kvcy.engine.keyspace cimport keyspace_delete, keyspace_peek, keyspace_plan_from, keyspace_restore
from kvcy.engine.operations cimport OPERATION_HEAD_MAX, OpBuffer, ops_free
from kvcy.engine.partition cimport EntryPlan
from kvcy.engine.shards cimport ShardSet, shards_add, shards_clear
from kvcy.engine.status cimport EXISTS, NOT_FOUND, NO_MEMORY, OK


cdef inline Holdings* held_at(Access* access, const Key* key, int database) noexcept nogil:
    """REQUIRES: there is a partition."""
    return &access.keyspace.shards[key.shard].partitions[database].held


cdef void own_target(Access* access, const Key* target, int target_database) noexcept nogil:
    """After the source has gone."""
    cdef int database = access.database
    cdef const Entry* entry
    access.database = target_database
    entry = keyspace_peek(access, target)
    if entry != NULL:
        holdings_own(held_at(access, target, target_database), entry)
    access.database = database


cdef Status keyspace_copy(Access* access, const Key* source, const Key* target, int target_database,
                          bint replace) noexcept nogil:
    """REQUIRES: source and target are not the same key of the same database."""
    cdef int database = access.database
    cdef Entry* entry = keyspace_peek(access, source)
    cdef EntryPlan plan
    cdef Status status = EXISTS
    cdef bint taken
    if entry == NULL:
        return NOT_FOUND
    keyspace_plan_from(&plan, entry)
    access.database = target_database
    taken = (not replace or events_wanted(&access.keyspace.events)) and keyspace_peek(access, target) != NULL
    if replace or not taken:
        holdings_share(held_at(access, source, database), entry)
        status = keyspace_restore(access, target, &plan)
        holdings_own(held_at(access, source, database), entry)
    if status == OK and taken:           # as in Redis, which deletes what it replaces here
        event_raise(&access.keyspace.events, EVENT_NEW, target_database, target.data, target.size)
    access.database = database
    return status


cdef bint rename_ready(Access* access, const Key* source, const Key* target) noexcept nogil:
    """Makes sure of the group's memory for all that a rename may log: the deletion of what has expired at the target,
    the put, the deletion of the source (which may have expired: then it is all there is)."""
    cdef size_t bytes = source.size + 2 * (target.size + OPERATION_HEAD_MAX)
    cdef const Entry* entry
    if not journal_ready(access.keyspace, access.group, bytes, 0):
        return False
    entry = keyspace_peek(access, source)
    return entry == NULL or journal_ready(access.keyspace, access.group, bytes, entry_value(entry).size)


cdef Status keyspace_rename(Access* access, const Key* source, const Key* target, int target_database,
                            bint replace) noexcept nogil:
    cdef Status status
    if source.size == target.size and access.database == target_database and \
            memcmp(source.data, target.data, source.size) == 0:
        if keyspace_peek(access, source) == NULL:
            return NOT_FOUND
        return OK if replace else EXISTS
    if access.keyspace.log != NULL and access.group == NULL:
        return rename_in_group(access, source, target, target_database, replace)
    if not rename_ready(access, source, target):
        return NO_MEMORY
    status = keyspace_copy(access, source, target, target_database, replace)
    if status == OK:
        keyspace_delete(access, source)
        own_target(access, target, target_database)
    return status


cdef Status rename_in_group(Access* access, const Key* source, const Key* target, int target_database,
                            bint replace) noexcept nogil:
    """Two operations, one record."""
    cdef OpBuffer group
    cdef ShardSet shards
    cdef Status status
    memset(&group, 0, sizeof(group))
    shards_clear(&shards)
    shards_add(&shards, source.shard)
    shards_add(&shards, target.shard)
    access.group = &group
    status = keyspace_rename(access, source, target, target_database, replace)
    access.group = NULL
    journal_commit(access.keyspace, &group, &shards, access.now_ms)
    ops_free(&group)
    return status
