# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The operations' encoding: see operations.pxd.

Numbers are little-endian, as is every processor kvcy runs on, so they are copied as they are. A number has one
encoding: a varint with needless bytes is malformed, as is an expiry of 0 where there is said to be one.
"""
from kvcy.engine.log_format cimport RECORD_SIZE_MAX
from kvcy.engine.memory cimport memory_free, memory_resize

cdef enum:
    BUFFER_BYTES_MIN = 256

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the files' numbers are little-endian: this processor needs code that turns them round"
    #endif
    """
    pass


# --- writing

cdef bint ops_reserve(OpBuffer* buffer, size_t bytes) noexcept nogil:
    cdef size_t capacity
    cdef char* data
    if bytes <= buffer.capacity - buffer.size:
        return True
    if bytes > RECORD_SIZE_MAX - buffer.size:
        return False
    capacity = max(buffer.size + bytes, buffer.capacity * 2, <size_t> BUFFER_BYTES_MIN)
    capacity = min(capacity, <size_t> RECORD_SIZE_MAX)
    data = <char*> memory_resize(buffer.data, capacity)
    if data == NULL:
        return False
    buffer.data = data
    buffer.capacity = capacity
    return True


cdef void ops_shrink(OpBuffer* buffer, size_t bytes) noexcept nogil:
    cdef char* data
    invariant(buffer.size == 0 and bytes > 0)
    if buffer.capacity > bytes:
        data = <char*> memory_resize(buffer.data, bytes)
        if data != NULL:
            buffer.data = data
            buffer.capacity = bytes


cdef void ops_free(OpBuffer* buffer) noexcept nogil:
    memory_free(buffer.data)
    buffer.data = NULL
    buffer.size = 0
    buffer.capacity = 0


cdef inline char* room(OpBuffer* buffer, size_t bytes) noexcept nogil:
    """Where the next operation goes. REQUIRES: so much was reserved."""
    invariant(buffer.capacity - buffer.size >= bytes)
    return buffer.data + buffer.size


cdef inline char* copied(char* at, const char* data, size_t size) noexcept nogil:
    """The end of the copy."""
    if size:
        memcpy(at, data, size)
    return at + size


cdef inline void finish(OpBuffer* buffer, const char* at) noexcept nogil:
    buffer.size = <size_t> (at - buffer.data)
    invariant(buffer.size <= buffer.capacity)


cdef void ops_put(OpBuffer* buffer, int database, const char* key, size_t key_size, const char* value,
                  size_t value_size, int type, int64_t expire_ms, bint edited) noexcept nogil:
    cdef char* at = room(buffer, ops_bytes(key_size, value_size))
    at = put_head_write(at, database, type, expire_ms, edited, key_size, value_size)
    finish(buffer, copied(copied(at, key, key_size), value, value_size))


cdef void ops_delete(OpBuffer* buffer, int database, const char* key, size_t key_size) noexcept nogil:
    cdef char* at = delete_head_write(room(buffer, ops_bytes(key_size, 0)), database, key_size)
    finish(buffer, copied(at, key, key_size))


cdef void ops_expire(OpBuffer* buffer, int database, const char* key, size_t key_size,
                     int64_t expire_ms) noexcept nogil:
    cdef char* at = expire_head_write(room(buffer, ops_bytes(key_size, 0)), database, key_size, expire_ms)
    finish(buffer, copied(at, key, key_size))


cdef void ops_splice(OpBuffer* buffer, int database, const char* key, size_t key_size, size_t offset,
                     const char* data, size_t size) noexcept nogil:
    cdef char* at = splice_head_write(room(buffer, ops_bytes(key_size, size)), database, offset, key_size, size)
    finish(buffer, copied(copied(at, key, key_size), data, size))


cdef void ops_flush(OpBuffer* buffer, int database) noexcept nogil:
    cdef int which = database if database >= 0 else OPERATION_DATABASE_ALL
    finish(buffer, operation_head_write(room(buffer, ops_bytes(0, 0)), OPERATION_FLUSH, which))


cdef void ops_swap(OpBuffer* buffer, int first, int second) noexcept nogil:
    cdef char* at = operation_head_write(room(buffer, ops_bytes(0, 0)), OPERATION_SWAP, first)
    at[0] = <char> second
    finish(buffer, at + 1)


# --- reading: each answers false when the bytes are not what they should be; *at is then anywhere before the end

cdef inline bint varint_read(const char** at, const char* end, uint64_t* number) noexcept nogil:
    cdef uint8_t byte
    cdef int shift = 0
    number[0] = 0
    while at[0] < end and shift < 64:
        byte = <uint8_t> at[0][0]
        at[0] += 1
        if shift == 63 and byte > 1:
            return False                       # more than 64 bits
        number[0] |= <uint64_t> (byte & 127) << shift
        if byte < 128:
            return byte != 0 or shift == 0     # no needless byte
        shift += 7
    return False


cdef inline bint size_read(const char** at, const char* end, size_t* size) noexcept nogil:
    """A length of a key or value, or an offset."""
    cdef uint64_t number
    if not varint_read(at, end, &number) or number > OPERATION_STRING_MAX:
        return False
    size[0] = number
    return True


cdef inline bint time_read(const char** at, const char* end, int64_t* time_ms) noexcept nogil:
    if end - at[0] < 8:
        return False
    memcpy(time_ms, at[0], 8)
    at[0] += 8
    return time_ms[0] >= 0


cdef inline bint bytes_read(const char** at, const char* end, const char** data, size_t size) noexcept nogil:
    if size > <size_t> (end - at[0]):
        return False
    data[0] = at[0]
    at[0] += size
    return True


cdef inline bint entry_read(const char** at, const char* end, Operation* operation) noexcept nogil:
    cdef uint8_t flags
    if end - at[0] < 2:
        return False
    operation.type = <uint8_t> at[0][0]
    flags = <uint8_t> at[0][1]
    at[0] += 2
    if operation.type >= OPERATION_TYPES or flags & ~(OPERATION_EXPIRES | OPERATION_EDITED):
        return False
    operation.edited = flags & OPERATION_EDITED != 0
    operation.expire_ms = 0
    if flags & OPERATION_EXPIRES:
        if not time_read(at, end, &operation.expire_ms) or operation.expire_ms == 0:
            return False
    return size_read(at, end, &operation.key_size) and size_read(at, end, &operation.value_size) and \
        bytes_read(at, end, &operation.key, operation.key_size) and \
        bytes_read(at, end, &operation.value, operation.value_size)


cdef inline bint key_read(const char** at, const char* end, Operation* operation) noexcept nogil:
    return size_read(at, end, &operation.key_size) and bytes_read(at, end, &operation.key, operation.key_size)


cdef inline bint splice_read(const char** at, const char* end, Operation* operation) noexcept nogil:
    return size_read(at, end, &operation.offset) and size_read(at, end, &operation.key_size) and \
        size_read(at, end, &operation.value_size) and \
        operation.value_size <= OPERATION_STRING_MAX - operation.offset and \
        bytes_read(at, end, &operation.key, operation.key_size) and \
        bytes_read(at, end, &operation.value, operation.value_size)


cdef inline bint swap_read(const char** at, const char* end, Operation* operation) noexcept nogil:
    if at[0] == end:
        return False
    operation.other = <uint8_t> at[0][0]
    at[0] += 1
    return operation.other < OPERATION_DATABASES


cdef Decoded operation_next(const char** at, const char* end, Operation* operation) noexcept nogil:
    cdef uint8_t kind
    cdef bint good = True
    if at[0] == end:
        return DECODED_END
    if end - at[0] < 2:
        return DECODED_MALFORMED
    kind = <uint8_t> at[0][0]
    operation.database = <uint8_t> at[0][1]
    at[0] += 2
    if operation.database >= OPERATION_DATABASES and \
            not (kind == OPERATION_FLUSH and operation.database == OPERATION_DATABASE_ALL):
        return DECODED_MALFORMED
    if kind == OPERATION_PUT:
        good = entry_read(at, end, operation)
    elif kind == OPERATION_DELETE:
        good = key_read(at, end, operation)
    elif kind == OPERATION_EXPIRE:
        good = time_read(at, end, &operation.expire_ms) and key_read(at, end, operation)
    elif kind == OPERATION_SPLICE:
        good = splice_read(at, end, operation)
    elif kind == OPERATION_SWAP:
        good = swap_read(at, end, operation)
    elif kind != OPERATION_FLUSH:
        return DECODED_MALFORMED
    operation.kind = <OperationKind> kind
    return DECODED_ONE if good else DECODED_MALFORMED


cdef Decoded entry_next(const char** at, const char* end, Operation* operation) noexcept nogil:
    if at[0] == end:
        return DECODED_END
    operation.kind = OPERATION_PUT
    return DECODED_ONE if entry_read(at, end, operation) else DECODED_MALFORMED
