# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Several keys set at once: see puts.pxd.

First everything that may fail, then what cannot: the log's group gets room for all operations; then either every value
fits into the place of the one before it, and they are overwritten in turn, or every key gets a new entry while those
that are replaced are kept out of sight. If memory ends on the way, the old entries come back, last to first. Counts,
watchers and the log learn of it only when all is done.
"""
from libc.stdint cimport uint64_t

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport TYPE_STRING, Entry
from kvcy.engine.events cimport EVENT_SET, event_raise
from kvcy.engine.journal cimport journal_ready
from kvcy.engine.keyspace cimport (
    EXPIRE_NONE, VALUE_BYTES_MAX, keyspace_place, keyspace_plan, keyspace_put, keyspace_stored)
from kvcy.engine.memory cimport memory_free, memory_new
from kvcy.engine.operations cimport ops_bytes
from kvcy.engine.partition cimport (
    EntryPlan, Partition, partition_add, partition_drop, partition_exchange, partition_exchange_back, partition_find,
    partition_fits, partition_remove)
from kvcy.engine.platform cimport invariant
from kvcy.engine.status cimport NO_MEMORY, OK, TOO_LARGE
from kvcy.engine.table cimport Slot


cdef struct Puts:                    # what keyspace_put_all was given
    Access* access
    const Key* keys
    const Bytes* values
    uint32_t stride
    uint32_t count


cdef EntryPlan plan_of(const Puts* puts, uint32_t i) noexcept nogil:
    """All but the access."""
    cdef EntryPlan plan
    plan.key = puts.keys[i].data
    plan.key_size = puts.keys[i].size
    plan.value = puts.values[i * puts.stride]
    plan.expire_ms = EXPIRE_NONE
    plan.type = TYPE_STRING
    plan.edited = False
    plan.access = 0
    return plan


cdef inline Partition* partition_of(const Puts* puts, uint32_t i) noexcept nogil:
    """REQUIRES: it has been made."""
    return puts.access.keyspace.shards[puts.keys[i].shard].partitions[puts.access.database]


cdef inline Slot* slot_of(const Puts* puts, uint32_t i) noexcept nogil:
    """Where the key is, if it is there; nothing that has expired is left."""
    return partition_find(partition_of(puts, i), puts.keys[i].bits, puts.keys[i].data, puts.keys[i].size)


cdef Status prepare(const Puts* puts, bint* in_place) noexcept nogil:
    """Makes the partitions, removes what has expired, makes room in the group. *in_place: every value fits into the
    place of the one before it (then that stays so while they are overwritten, even if a key comes twice)."""
    cdef Partition* partition
    cdef Slot* slot
    cdef EntryPlan plan
    cdef uint64_t logged = 0
    cdef uint32_t i
    in_place[0] = True
    for i in range(puts.count):
        if puts.values[i * puts.stride].size > VALUE_BYTES_MAX:
            return TOO_LARGE
        partition = keyspace_place(puts.access, &puts.keys[i], &slot)
        if partition == NULL:
            return NO_MEMORY
        plan = plan_of(puts, i)
        in_place[0] = in_place[0] and slot != NULL and partition_fits(partition, slot, &plan)
        logged += ops_bytes(plan.key_size, plan.value.size)
    return OK if journal_ready(puts.access.keyspace, puts.access.group, 0, logged) else NO_MEMORY


cdef bint exchange(const Puts* puts, uint32_t i, uint32_t* replaced) noexcept nogil:
    """Gives the key its new entry. *replaced: the handle of the one before it, kept out of sight; 0: there was none."""
    cdef Partition* partition = partition_of(puts, i)
    cdef Slot* slot = slot_of(puts, i)
    cdef EntryPlan plan = plan_of(puts, i)
    keyspace_plan(puts.access, partition, slot, &puts.keys[i], &plan)
    replaced[0] = 0
    if slot == NULL:
        return partition_add(partition, puts.keys[i].bits, &plan)
    replaced[0] = partition_exchange(partition, slot, &plan)
    return replaced[0] != 0


cdef void take_back(const Puts* puts, uint32_t i, uint32_t replaced) noexcept nogil:
    cdef Slot* slot = slot_of(puts, i)
    invariant(slot != NULL)
    if replaced:
        partition_exchange_back(partition_of(puts, i), slot, replaced)
    else:
        partition_remove(partition_of(puts, i), slot)


cdef inline void raise_set(const Puts* puts, uint32_t i) noexcept nogil:
    event_raise(&puts.access.keyspace.events, EVENT_SET, puts.access.database, puts.keys[i].data, puts.keys[i].size)


cdef void settle(const Puts* puts, uint32_t i, uint32_t replaced) noexcept nogil:
    """Nothing can fail any more: the old entry goes, everybody learns of the new one."""
    cdef Partition* partition = partition_of(puts, i)
    cdef const Entry* old = NULL
    cdef EntryPlan plan = plan_of(puts, i)
    if replaced:
        old = <const Entry*> arena_at(&partition.arena, replaced)
    keyspace_stored(puts.access, partition, &puts.keys[i], &plan, old)
    raise_set(puts, i)
    if replaced:
        partition_drop(partition, replaced)


cdef Status put_new(const Puts* puts) noexcept nogil:
    cdef uint32_t* replaced = <uint32_t*> memory_new(puts.count * sizeof(uint32_t))
    cdef uint32_t i
    if replaced == NULL:
        return NO_MEMORY
    for i in range(puts.count):
        if not exchange(puts, i, &replaced[i]):
            while i > 0:
                i -= 1
                take_back(puts, i, replaced[i])
            memory_free(replaced)
            return NO_MEMORY
    for i in range(puts.count):
        settle(puts, i, replaced[i])
    memory_free(replaced)
    return OK


cdef Status keyspace_put_all(Access* access, const Key* keys, const Bytes* values, uint32_t stride,
                             uint32_t count) noexcept nogil:
    cdef Puts puts = Puts(access, keys, values, stride, count)
    cdef Status status
    cdef bint in_place
    cdef uint32_t i
    invariant(access.exclusive and count > 0)
    invariant(access.keyspace.log == NULL or access.group != NULL)
    if count == 1:
        status = keyspace_put(access, keys, values[0], EXPIRE_NONE)
        if status == OK:
            raise_set(&puts, 0)
        return status
    status = prepare(&puts, &in_place)
    if status != OK:
        return status
    if not in_place:
        return put_new(&puts)
    for i in range(count):
        status = keyspace_put(access, &keys[i], values[i * stride], EXPIRE_NONE)
        invariant(status == OK)
        raise_set(&puts, i)
    return OK
