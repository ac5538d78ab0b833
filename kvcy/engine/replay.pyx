# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Applying recorded operations: see replay.pxd.

It goes through the typed operations with a clock at which nothing has expired (replay_clock): an operation was recorded
because it happened, and expiries that happened were recorded as deletions.
"""
from libc.string cimport memset

from kvcy.engine.block cimport Bytes
from kvcy.engine.coverage cimport coverage_is_new, coverage_is_new_shard
from kvcy.engine.entry cimport TYPE_STRING
from kvcy.engine.keyspace cimport keyspace_delete, keyspace_expire_at, keyspace_restore, keyspace_splice
from kvcy.engine.operations cimport (
    DECODED_END, DECODED_MALFORMED, DECODED_ONE, OPERATION_DATABASE_ALL, OPERATION_EXPIRE,
    OPERATION_FLUSH, OPERATION_PUT, OPERATION_SPLICE, OPERATION_SWAP, Decoded, operation_next, put_plain)
from kvcy.engine.partition cimport EntryPlan, Partition
from kvcy.engine.platform cimport invariant, likely
from kvcy.engine.shards cimport DATABASES_MAX, Key, keyspace_key, keyspace_prefetch_entry, keyspace_prefetch_slot
from kvcy.engine.status cimport NO_MEMORY, OK, Status
from kvcy.engine.table cimport Table, table_count, table_reserve_all, table_trim
from kvcy.engine.whole cimport shard_flush, shard_swap

cdef enum:
    RESERVED_TIMES_MAX = 4
    RESERVED_KEYS_MIN = 1024     # what a smaller table has seen of the log tells too little


cdef void replay_init(Replay* replay, Keyspace* keyspace, const Coverage* coverage, uint32_t part, uint32_t parts,
                      int64_t now_ms) noexcept nogil:
    invariant(part < parts)
    invariant(coverage == NULL or coverage.shard_count == keyspace.shard_count)
    memset(replay, 0, sizeof(Replay))
    replay.access.keyspace = keyspace
    replay.access.now_ms = replay_clock(now_ms)
    replay.access.exclusive = True
    replay.coverage = coverage
    replay.part = part
    replay.parts = parts


cdef ReplayStatus apply_put(Replay* replay, const Operation* operation, const Key* key) noexcept nogil:
    cdef EntryPlan plan
    if operation.type != TYPE_STRING:
        return REPLAY_UNKNOWN_TYPE
    plan.value.data = operation.value
    plan.value.size = operation.value_size
    plan.value.block = NULL
    plan.expire_ms = operation.expire_ms
    plan.type = operation.type
    plan.edited = operation.edited
    return REPLAYED if keyspace_restore(&replay.access, key, &plan) == OK else REPLAY_NO_MEMORY


cdef ReplayStatus apply_splice(Replay* replay, const Operation* operation, const Key* key) noexcept nogil:
    cdef Bytes bytes
    cdef size_t size
    bytes.data = operation.value
    bytes.size = operation.value_size
    bytes.block = NULL
    return REPLAYED if keyspace_splice(&replay.access, key, operation.offset, bytes, &size) == OK else REPLAY_NO_MEMORY


cdef ReplayStatus apply_to_key(Replay* replay, const Operation* operation, const Key* key) noexcept nogil:
    cdef Status status = OK
    replay.access.database = operation.database
    if operation.kind == OPERATION_PUT:
        return apply_put(replay, operation, key)
    if operation.kind == OPERATION_SPLICE:
        return apply_splice(replay, operation, key)
    if operation.kind == OPERATION_EXPIRE:
        status = keyspace_expire_at(&replay.access, key, operation.expire_ms)
    else:
        keyspace_delete(&replay.access, key)
    return REPLAY_NO_MEMORY if status == NO_MEMORY else REPLAYED


cdef ReplayStatus replay_settle(Replay* replay) noexcept nogil:
    cdef ReplayPending* pending
    cdef ReplayStatus status
    cdef uint32_t i
    for i in range(replay.waiting):
        pending = &replay.pending[i]
        keyspace_prefetch_entry(replay.access.keyspace, pending.operation.database, &pending.key)
    for i in range(replay.waiting):
        pending = &replay.pending[i]
        status = apply_to_key(replay, &pending.operation, &pending.key)
        if status != REPLAYED:
            replay.fault_position = pending.position
            return status
    replay.waiting = 0
    return REPLAYED


cdef ReplayStatus put_off(Replay* replay, ReplayPending* pending) noexcept nogil:
    """Takes the operation that lies in the next place of the window, if it is in this part and new."""
    cdef Key* key = &pending.key
    cdef int database = pending.operation.database
    key[0] = keyspace_key(replay.access.keyspace, pending.operation.key, pending.operation.key_size)
    if replay.parts > 1 and key.shard % replay.parts != replay.part:
        return REPLAYED
    if replay.coverage != NULL and \
            not coverage_is_new(replay.coverage, pending.position, key.shard, database, key.bits):
        replay.covered += 1
        return REPLAYED
    replay.applied += 1
    keyspace_prefetch_slot(replay.access.keyspace, database, key)
    replay.waiting += 1
    return replay_settle(replay) if replay.waiting == REPLAY_WINDOW else REPLAYED


cdef void apply_to_shards(Replay* replay, const Operation* operation, uint64_t position) noexcept nogil:
    cdef int database = -1 if operation.database == OPERATION_DATABASE_ALL else operation.database
    cdef uint32_t shard = replay.part
    while shard < replay.access.keyspace.shard_count:
        if replay.coverage == NULL or coverage_is_new_shard(replay.coverage, position, shard):
            if operation.kind == OPERATION_FLUSH:
                shard_flush(&replay.access, shard, database)
            else:
                shard_swap(&replay.access, shard, operation.database, operation.other)
        shard += replay.parts
    replay.applied += replay.part == 0


cdef void reserve(Table* table, uint64_t done, uint64_t total) noexcept nogil:
    cdef uint64_t count = table_count(table)
    cdef uint64_t expected
    if count < RESERVED_KEYS_MIN or count < table.main.homes - table.main.homes // 4:
        return
    expected = <uint64_t> (<double> count * <double> total / <double> done)
    # A little more is reserved than is expected, or else a later guess, a little larger, would have all copied again.
    if expected > table.main.homes - table.main.homes // 8:
        table_reserve_all(table, min(expected + expected // 64, count * RESERVED_TIMES_MAX))    # or it grows by itself


cdef Partition* next_partition(const Replay* replay, uint32_t* place) noexcept nogil:
    """The next partition of this part, from *place (shard and database) on, which moves behind it; NULL: no more."""
    cdef const Keyspace* keyspace = replay.access.keyspace
    cdef uint32_t shard
    cdef Partition* partition = NULL
    while partition == NULL and place[0] < keyspace.shard_count * DATABASES_MAX:
        shard = place[0] // DATABASES_MAX
        if shard % replay.parts == replay.part:
            partition = keyspace.shards[shard].partitions[place[0] % DATABASES_MAX]
        place[0] += 1
    return partition


cdef void replay_reserve(Replay* replay, uint64_t done, uint64_t total) noexcept nogil:
    cdef uint32_t place = 0
    cdef Partition* partition
    if done == 0 or done > total or replay.coverage != NULL:     # a snapshot's keys tell nothing of the log's
        return
    partition = next_partition(replay, &place)
    while partition != NULL:
        reserve(&partition.table, done, total)
        partition = next_partition(replay, &place)


cdef void replay_trim(Replay* replay) noexcept nogil:
    cdef uint32_t place = 0
    cdef Partition* partition = next_partition(replay, &place)
    while partition != NULL:
        table_trim(&partition.table)
        partition = next_partition(replay, &place)


cdef inline Decoded next_operation(const char** at, const char* end, Operation* operation) noexcept nogil:
    return DECODED_ONE if likely(put_plain(at, end, operation)) else operation_next(at, end, operation)


cdef ReplayStatus replay_record(Replay* replay, const char* operations, size_t size, uint64_t position) noexcept nogil:
    cdef const char* at = operations
    cdef const char* end = operations + size
    cdef ReplayPending* pending = &replay.pending[replay.waiting]
    cdef ReplayStatus status
    cdef Decoded decoded = next_operation(&at, end, &pending.operation)
    if decoded == DECODED_END:
        decoded = DECODED_MALFORMED          # no record is empty
    while decoded == DECODED_ONE:
        pending.position = position
        if pending.operation.kind == OPERATION_FLUSH or pending.operation.kind == OPERATION_SWAP:
            status = replay_settle(replay)
            apply_to_shards(replay, &pending.operation, position)
        else:
            status = put_off(replay, pending)
        if status != REPLAYED:
            return status
        pending = &replay.pending[replay.waiting]
        decoded = next_operation(&at, end, &pending.operation)
    if decoded == DECODED_END:
        return REPLAYED
    replay.fault_position = position
    return REPLAY_MALFORMED


cdef const char* replay_reason(ReplayStatus status) noexcept nogil:
    if status == REPLAY_NO_MEMORY:
        return "no memory for what the log holds"
    if status == REPLAY_MALFORMED:
        return "a record's checksum is right, but it holds no operations this version knows"
    if status == REPLAY_UNKNOWN_TYPE:
        return "a record holds a value of a type this version does not know"
    return "no fault"
