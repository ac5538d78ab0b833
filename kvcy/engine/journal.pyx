# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""How a mutation reaches the log: see journal.pxd."""
from kvcy.engine.log cimport LogPiece, log_append
from kvcy.engine.operations cimport (
    OPERATION_HEAD_MAX, delete_head_write, expire_head_write, ops_delete, ops_expire, ops_flush, ops_put, ops_shrink,
    ops_splice, ops_swap, put_head_write, splice_head_write)
from kvcy.engine.shards cimport shards_has

cdef enum:
    PIECES_MAX = 3               # head, key, value


cdef void append(const Change* change, const char* head, const char* head_end, const char* value,
                 size_t value_size) noexcept nogil:
    """A record of one operation."""
    cdef LogPiece[PIECES_MAX] pieces
    pieces[0].data = head
    pieces[0].size = head_end - head
    pieces[1].data = change.key
    pieces[1].size = change.key_size
    pieces[2].data = value
    pieces[2].size = value_size
    change.keyspace.shards[change.shard].position = log_append(change.keyspace.log, pieces,
                                                               PIECES_MAX - (value_size == 0), change.now_ms)


cdef uint64_t append_all(Keyspace* keyspace, OpBuffer* operations, int64_t now_ms) noexcept nogil:
    """A record of all the buffer holds, which is then empty; the record's end."""
    cdef LogPiece piece
    piece.data = operations.data
    piece.size = operations.size
    operations.size = 0
    return log_append(keyspace.log, &piece, 1, now_ms)


cdef void journal_put(const Change* change, const EntryPlan* plan) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    if change.keyspace.log == NULL:
        return
    if change.group != NULL:
        ops_put(change.group, change.database, change.key, change.key_size, plan.value.data, plan.value.size, plan.type,
                plan.expire_ms, plan.edited)
        return
    append(change, head, put_head_write(head, change.database, plan.type, plan.expire_ms, plan.edited,
                                        change.key_size, plan.value.size), plan.value.data, plan.value.size)


cdef void journal_delete(const Change* change) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    if change.keyspace.log == NULL:
        return
    if change.group != NULL:
        ops_delete(change.group, change.database, change.key, change.key_size)
        return
    append(change, head, delete_head_write(head, change.database, change.key_size), NULL, 0)


cdef void journal_expire(const Change* change, int64_t expire_ms) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    if change.keyspace.log == NULL:
        return
    if change.group != NULL:
        ops_expire(change.group, change.database, change.key, change.key_size, expire_ms)
        return
    append(change, head, expire_head_write(head, change.database, change.key_size, expire_ms), NULL, 0)


cdef void journal_splice(const Change* change, size_t offset, const char* data, size_t size) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    if change.keyspace.log == NULL:
        return
    if change.group != NULL:
        ops_splice(change.group, change.database, change.key, change.key_size, offset, data, size)
        return
    append(change, head, splice_head_write(head, change.database, offset, change.key_size, size), data, size)


# --- the whole keyspace

cdef void append_alone(Keyspace* keyspace, OpBuffer* operations, int64_t now_ms) noexcept nogil:
    """A record of its own, which concerns every shard."""
    cdef uint64_t end = append_all(keyspace, operations, now_ms)
    cdef uint32_t i
    for i in range(keyspace.shard_count):
        keyspace.shards[i].position = end


cdef inline OpBuffer buffer_in(char* memory, size_t capacity) noexcept nogil:
    """An empty buffer in memory that is there already."""
    cdef OpBuffer buffer
    buffer.data = memory
    buffer.size = 0
    buffer.capacity = capacity
    return buffer


cdef void journal_flush(Keyspace* keyspace, OpBuffer* group, int64_t now_ms, int database) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    cdef OpBuffer alone = buffer_in(head, sizeof(head))
    if keyspace.log == NULL:
        return
    if group != NULL:
        ops_flush(group, database)
        return
    ops_flush(&alone, database)
    append_alone(keyspace, &alone, now_ms)


cdef void journal_swap(Keyspace* keyspace, OpBuffer* group, int64_t now_ms, int first, int second) noexcept nogil:
    cdef char[OPERATION_HEAD_MAX] head
    cdef OpBuffer alone = buffer_in(head, sizeof(head))
    if keyspace.log == NULL:
        return
    if group != NULL:
        ops_swap(group, first, second)
        return
    ops_swap(&alone, first, second)
    append_alone(keyspace, &alone, now_ms)


cdef void journal_commit(Keyspace* keyspace, OpBuffer* group, const ShardSet* shards, int64_t now_ms) noexcept nogil:
    cdef uint64_t end
    cdef uint32_t i
    if group == NULL or group.size == 0:
        return
    end = append_all(keyspace, group, now_ms)
    if group.capacity > GROUP_KEPT_BYTES_MAX:
        ops_shrink(group, GROUP_BYTES)
    for i in range(keyspace.shard_count):
        if shards_has(shards, i):
            keyspace.shards[i].position = end
