# cython: language_level=3
"""The operations' encoding in the log and, for entries, in snapshots: docs/durability.md, "Operations".

Writing: `ops_reserve` the sum of what the operations may need, which is the only thing that can fail; then write them.
Reading: `operation_next` until the end; it never looks behind `end` and takes nothing malformed.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvcy.engine.platform cimport invariant

cdef enum:
    OPERATION_DATABASES = 16
    OPERATION_DATABASE_ALL = 255
    OPERATION_TYPES = 6                  # entry.pxd's types, 0 up to here
    OPERATION_STRING_MAX = 536870912     # of a key or a value: 512 MB
    OPERATION_HEAD_MAX = 32              # bytes of an operation besides key and value

cdef enum OperationKind:
    OPERATION_PUT = 1
    OPERATION_DELETE = 2
    OPERATION_EXPIRE = 3
    OPERATION_SPLICE = 4
    OPERATION_FLUSH = 5
    OPERATION_SWAP = 6

cdef enum OperationFlag:
    OPERATION_EXPIRES = 1
    OPERATION_EDITED = 2

cdef enum Decoded:
    DECODED_ONE
    DECODED_END                          # nothing is left
    DECODED_MALFORMED

cdef struct OpBuffer:                    # zeroed: empty. Owned by whoever fills it
    char* data
    size_t size
    size_t capacity

cdef struct Operation:                   # key and value are borrowed from the bytes that were read
    OperationKind kind
    int database                         # or OPERATION_DATABASE_ALL
    int type
    bint edited
    int64_t expire_ms                    # 0: none
    const char* key
    size_t key_size
    const char* value                    # of a splice: what is written at `offset`
    size_t value_size
    size_t offset
    int other                            # of a swap

# Room for `bytes` more; false (nothing changed) when there is no memory, or all would be beyond RECORD_SIZE_MAX.
cdef bint ops_reserve(OpBuffer* buffer, size_t bytes) noexcept nogil
# Gives memory back where the buffer, which is empty, has more than `bytes`.
cdef void ops_shrink(OpBuffer* buffer, size_t bytes) noexcept nogil
cdef void ops_free(OpBuffer* buffer) noexcept nogil      # the memory; the buffer is then an empty one

# REQUIRES for all: reserved at least ops_bytes(key size, value size).
cdef void ops_put(OpBuffer* buffer, int database, const char* key, size_t key_size, const char* value,
                  size_t value_size, int type, int64_t expire_ms, bint edited) noexcept nogil
cdef void ops_delete(OpBuffer* buffer, int database, const char* key, size_t key_size) noexcept nogil
cdef void ops_expire(OpBuffer* buffer, int database, const char* key, size_t key_size, int64_t expire_ms) noexcept nogil
cdef void ops_splice(OpBuffer* buffer, int database, const char* key, size_t key_size, size_t offset,
                     const char* data, size_t size) noexcept nogil
cdef void ops_flush(OpBuffer* buffer, int database) noexcept nogil       # -1: all
cdef void ops_swap(OpBuffer* buffer, int first, int second) noexcept nogil

# The operation at *at, which moves behind it. Its `type` is known to exist, not to be supported.
cdef Decoded operation_next(const char** at, const char* end, Operation* operation) noexcept nogil
# A snapshot's entry: a put without kind and database (operation.database is left alone).
cdef Decoded entry_next(const char** at, const char* end, Operation* operation) noexcept nogil

cdef extern from *:
    """
    /* Of an entry's first four bytes: type 0, no flags, sizes of one byte. */
    #define KVCY_PLAIN_HEAD(word) (((word) & 0x8080FFFFu) == 0)
    """
    bint plain_head "KVCY_PLAIN_HEAD"(uint32_t word) nogil

cdef inline bint entry_plain(const char** at, const char* end, Operation* operation) noexcept nogil:
    """What entry_next would do, for what most entries are: a string that does not expire, key and value under 128
    bytes. False (nothing was done): it is something else."""
    cdef uint32_t head
    if end - at[0] < 4:
        return False
    memcpy(&head, at[0], 4)
    operation.key_size = head >> 16 & 127
    operation.value_size = head >> 24
    if not plain_head(head) or operation.key_size + operation.value_size > <size_t> (end - at[0]) - 4:
        return False
    operation.kind = OPERATION_PUT
    operation.type = 0
    operation.edited = False
    operation.expire_ms = 0
    operation.key = at[0] + 4
    operation.value = operation.key + operation.key_size
    at[0] = operation.value + operation.value_size
    return True

cdef inline bint put_plain(const char** at, const char* end, Operation* operation) noexcept nogil:
    """The same for operation_next and a put."""
    cdef const char* entry = at[0] + 2
    if end - at[0] < 2 or at[0][0] != OPERATION_PUT or <uint8_t> at[0][1] >= OPERATION_DATABASES or \
            not entry_plain(&entry, end, operation):
        return False
    operation.database = <uint8_t> at[0][1]
    at[0] = entry
    return True


cdef inline size_t ops_bytes(size_t key_size, size_t value_size) noexcept nogil:
    """What an operation needs at most."""
    return OPERATION_HEAD_MAX + key_size + value_size


cdef inline char* varint_write(char* at, uint64_t number) noexcept nogil:
    while number > 127:
        at[0] = <char> (<uint8_t> number | 128)
        at += 1
        number >>= 7
    at[0] = <char> <uint8_t> number
    return at + 1


# --- What comes before the key of an operation; the answer is where the key belongs. At most OPERATION_HEAD_MAX bytes.

cdef inline char* operation_head_write(char* at, OperationKind kind, int database) noexcept nogil:
    """What all have; database: 0 up to 15, or OPERATION_DATABASE_ALL."""
    at[0] = <char> kind
    at[1] = <char> <uint8_t> database
    return at + 2


cdef inline char* entry_head_write(char* at, int type, int64_t expire_ms, bint edited, size_t key_size,
                                   size_t value_size) noexcept nogil:
    """What comes before the key of a put and of a snapshot's entry. At most OPERATION_HEAD_MAX - 2 bytes."""
    invariant(0 <= type < OPERATION_TYPES and expire_ms >= 0)
    at[0] = <char> type
    at[1] = <char> ((OPERATION_EXPIRES if expire_ms else 0) | (OPERATION_EDITED if edited else 0))
    at += 2
    if expire_ms:
        memcpy(at, &expire_ms, 8)
        at += 8
    return varint_write(varint_write(at, key_size), value_size)


cdef inline char* put_head_write(char* at, int database, int type, int64_t expire_ms, bint edited, size_t key_size,
                                 size_t value_size) noexcept nogil:
    return entry_head_write(operation_head_write(at, OPERATION_PUT, database), type, expire_ms, edited, key_size,
                            value_size)


cdef inline char* delete_head_write(char* at, int database, size_t key_size) noexcept nogil:
    return varint_write(operation_head_write(at, OPERATION_DELETE, database), key_size)


cdef inline char* expire_head_write(char* at, int database, size_t key_size, int64_t expire_ms) noexcept nogil:
    invariant(expire_ms >= 0)
    at = operation_head_write(at, OPERATION_EXPIRE, database)
    memcpy(at, &expire_ms, 8)
    return varint_write(at + 8, key_size)


cdef inline char* splice_head_write(char* at, int database, size_t offset, size_t key_size,
                                    size_t size) noexcept nogil:
    at = varint_write(operation_head_write(at, OPERATION_SPLICE, database), offset)
    return varint_write(varint_write(at, key_size), size)
