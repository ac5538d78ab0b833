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
    DECODED_END, DECODED_ONE, OPERATION_DATABASE_ALL, OPERATION_DELETE, OPERATION_EXPIRE, OPERATION_FLUSH,
    OPERATION_PUT, OPERATION_SPLICE, OPERATION_SWAP, Decoded, operation_next)
from kvcy.engine.partition cimport EntryPlan
from kvcy.engine.platform cimport invariant
from kvcy.engine.shards cimport Key, keyspace_key
from kvcy.engine.status cimport NO_MEMORY, OK, Status
from kvcy.engine.whole cimport shard_flush, shard_swap


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


cdef ReplayStatus apply_to_key(Replay* replay, const Operation* operation, uint64_t position) noexcept nogil:
    cdef Key key = keyspace_key(replay.access.keyspace, operation.key, operation.key_size)
    cdef Status status = OK
    if replay.parts > 1 and key.shard % replay.parts != replay.part:
        return REPLAYED
    if replay.coverage != NULL and \
            not coverage_is_new(replay.coverage, position, key.shard, operation.database, key.bits):
        replay.covered += 1
        return REPLAYED
    replay.applied += 1
    replay.access.database = operation.database
    if operation.kind == OPERATION_PUT:
        return apply_put(replay, operation, &key)
    if operation.kind == OPERATION_SPLICE:
        return apply_splice(replay, operation, &key)
    if operation.kind == OPERATION_EXPIRE:
        status = keyspace_expire_at(&replay.access, &key, operation.expire_ms)
    else:
        keyspace_delete(&replay.access, &key)
    return REPLAY_NO_MEMORY if status == NO_MEMORY else REPLAYED


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


cdef ReplayStatus replay_apply(Replay* replay, const Operation* operation, uint64_t position) noexcept nogil:
    if operation.kind == OPERATION_FLUSH or operation.kind == OPERATION_SWAP:
        apply_to_shards(replay, operation, position)
        return REPLAYED
    invariant(operation.kind == OPERATION_PUT or operation.kind == OPERATION_DELETE or
              operation.kind == OPERATION_EXPIRE or operation.kind == OPERATION_SPLICE)
    return apply_to_key(replay, operation, position)


cdef ReplayStatus replay_record(Replay* replay, const char* operations, size_t size, uint64_t position) noexcept nogil:
    cdef const char* at = operations
    cdef const char* end = operations + size
    cdef Operation operation
    cdef ReplayStatus status
    cdef Decoded decoded = operation_next(&at, end, &operation)
    if decoded == DECODED_END:
        return REPLAY_MALFORMED          # no record is empty
    while decoded == DECODED_ONE:
        status = replay_apply(replay, &operation, position)
        if status != REPLAYED:
            return status
        decoded = operation_next(&at, end, &operation)
    return REPLAYED if decoded == DECODED_END else REPLAY_MALFORMED


cdef const char* replay_reason(ReplayStatus status) noexcept nogil:
    if status == REPLAY_NO_MEMORY:
        return "no memory for what the log holds"
    if status == REPLAY_MALFORMED:
        return "a record's checksum is right, but it holds no operations this version knows"
    if status == REPLAY_UNKNOWN_TYPE:
        return "a record holds a value of a type this version does not know"
    return "no fault"
