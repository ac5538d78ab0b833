# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The operations' encoding: lists of tuples to bytes and back."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memset

from kvcy.engine.operations cimport (
    DECODED_END, DECODED_ONE, OPERATION_DELETE, OPERATION_EXPIRE, OPERATION_FLUSH, OPERATION_PUT, OPERATION_SPLICE,
    Decoded, OpBuffer, Operation, operation_next, ops_bytes, ops_delete, ops_expire, ops_flush, ops_free, ops_put,
    ops_reserve, ops_splice, ops_swap)


cdef bytes text(const char* data, size_t size):
    return PyBytes_FromStringAndSize(data, size)


def encode(operations):
    """The bytes of (kind, ...) tuples, in the order of the encoders' arguments."""
    cdef OpBuffer buffer
    cdef bytes key, value
    memset(&buffer, 0, sizeof(OpBuffer))
    for kind, *rest in operations:
        key = rest[1] if kind in ("put", "delete", "expire", "splice") else b""
        value = rest[len(rest) - 1] if kind in ("put", "splice") else b""
        if not ops_reserve(&buffer, ops_bytes(len(key), len(value))):
            raise MemoryError
        if kind == "put":
            ops_put(&buffer, rest[0], key, len(key), value, len(value), 0, rest[2], rest[3])
        elif kind == "delete":
            ops_delete(&buffer, rest[0], key, len(key))
        elif kind == "expire":
            ops_expire(&buffer, rest[0], key, len(key), rest[2])
        elif kind == "splice":
            ops_splice(&buffer, rest[0], key, len(key), rest[2], value, len(value))
        elif kind == "flush":
            ops_flush(&buffer, rest[0])
        else:
            ops_swap(&buffer, rest[0], rest[1])
    try:
        return text(buffer.data, buffer.size)
    finally:
        ops_free(&buffer)


cdef tuple decoded(const Operation* operation):
    cdef bytes key = b""
    if operation.kind <= OPERATION_SPLICE:
        key = text(operation.key, operation.key_size)
    if operation.kind == OPERATION_PUT:
        return ("put", operation.database, key, operation.expire_ms, bool(operation.edited),
                text(operation.value, operation.value_size))
    if operation.kind == OPERATION_DELETE:
        return ("delete", operation.database, key)
    if operation.kind == OPERATION_EXPIRE:
        return ("expire", operation.database, key, operation.expire_ms)
    if operation.kind == OPERATION_SPLICE:
        return ("splice", operation.database, key, operation.offset, text(operation.value, operation.value_size))
    if operation.kind == OPERATION_FLUSH:
        return ("flush", -1 if operation.database == 255 else operation.database)
    return ("swap", operation.database, operation.other)


def decode(bytes data):
    """The operations, or None when the bytes are malformed."""
    cdef const char* at = PyBytes_AS_STRING(data)
    cdef const char* end = at + PyBytes_GET_SIZE(data)
    cdef Operation operation
    cdef Decoded status = operation_next(&at, end, &operation)
    found = []
    while status == DECODED_ONE:
        found.append(decoded(&operation))
        status = operation_next(&at, end, &operation)
    return found if status == DECODED_END else None
