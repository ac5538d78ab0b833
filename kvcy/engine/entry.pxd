# cython: language_level=3
"""An entry: one key and its value, or the pointer to a value that stands apart.

    offset  0   uint32  meta     key length:12 | value length:12 | type:4 | flags:4   (low to high bits)
            4   uint32  access   last access: store-wide tick of 4 ms (LRU), or what the policy keeps there
            8   uint32  previous LRU neighbours: handles in the same partition, 0 none
           12   uint32  next
           16   EntryExpiry     16 bytes, only with ENTRY_EXPIRES
            .   Block*  key block       only with ENTRY_KEY_APART (then key length is 0)
            .   Block*  value block     only with ENTRY_VALUE_APART (then value length is 0)
            .   key bytes, then value bytes

Everything lies in one arena cell, so lengths are at most ENTRY_INLINE_MAX together. Optional fields come first
and are aligned to 8. The entry owns one reference of each block it points to.
"""
from libc.stdint cimport int64_t, uint32_t
from kvcy.engine.block cimport Block, Bytes

cdef enum:
    ENTRY_HEADER_BYTES = 16
    ENTRY_INLINE_MAX = 2048      # key + value bytes that may lie inside the cell
    ENTRY_KEY_INLINE_MAX = 1024  # a longer key stands apart

cdef enum EntryFlag:
    ENTRY_EXPIRES = 1
    ENTRY_VALUE_APART = 2
    ENTRY_KEY_APART = 4
    ENTRY_EDITED = 8             # made or changed by a splice (SETRANGE, APPEND): OBJECT ENCODING says raw

cdef enum EntryType:             # the type byte of a value, in logs and snapshots too
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_ZSET = 3
    TYPE_HASH = 4
    TYPE_STREAM = 5

cdef struct Entry:
    uint32_t meta
    uint32_t access
    uint32_t previous
    uint32_t next

cdef struct EntryExpiry:
    int64_t expire_ms            # Unix time in ms, not 0
    uint32_t previous            # in the timing wheel (wheel.pxd): handles, or at the ends of a list its number
    uint32_t next

cdef inline uint32_t entry_flags(const Entry* entry) noexcept nogil:
    return entry.meta >> 28

cdef inline int entry_type(const Entry* entry) noexcept nogil:
    return (entry.meta >> 24) & 15

cdef inline EntryExpiry* entry_expiry(const Entry* entry) noexcept nogil:
    """REQUIRES: ENTRY_EXPIRES."""
    return <EntryExpiry*> (entry + 1)

cdef inline int64_t entry_expire_ms(const Entry* entry) noexcept nogil:
    """The entry's expiry, Unix time in ms; 0 when it has none."""
    if (entry.meta >> 28) & ENTRY_EXPIRES:
        return entry_expiry(entry).expire_ms
    return 0

cdef inline bint entry_expired(const Entry* entry, int64_t now_ms) noexcept nogil:
    return ((entry.meta >> 28) & ENTRY_EXPIRES) != 0 and entry_expiry(entry).expire_ms <= now_ms

cdef inline const char* entry_payload(const Entry* entry) noexcept nogil:
    """Where the key bytes start: after the optional fields."""
    cdef uint32_t flags = entry.meta >> 28
    return <const char*> (entry + 1) + 8 * (2 * (flags & 1) + ((flags >> 1) & 1) + ((flags >> 2) & 1))

cdef inline Block* entry_key_block(const Entry* entry) noexcept nogil:
    """REQUIRES: ENTRY_KEY_APART."""
    return (<Block* const*> (entry + 1))[2 * ((entry.meta >> 28) & ENTRY_EXPIRES)]

cdef inline Block** entry_value_place(const Entry* entry) noexcept nogil:
    """Where the pointer to the value block lies. REQUIRES: ENTRY_VALUE_APART."""
    cdef uint32_t flags = entry.meta >> 28
    return <Block**> (entry + 1) + (2 * (flags & 1) + ((flags >> 2) & 1))

cdef inline Block* entry_value_block(const Entry* entry) noexcept nogil:
    """REQUIRES: ENTRY_VALUE_APART."""
    return entry_value_place(entry)[0]

cdef inline Bytes entry_key(const Entry* entry) noexcept nogil:
    """The key, borrowed from the entry."""
    cdef Bytes key
    if (entry.meta >> 28) & ENTRY_KEY_APART:
        key.block = entry_key_block(entry)
        key.data = key.block.data
        key.size = key.block.size
    else:
        key.block = NULL
        key.data = entry_payload(entry)
        key.size = entry.meta & 4095
    return key

cdef inline Bytes entry_value(const Entry* entry) noexcept nogil:
    """The value, borrowed from the entry: valid while the shard lock is held. A block may be retained to outlast it."""
    cdef Bytes value
    if (entry.meta >> 28) & ENTRY_VALUE_APART:
        value.block = entry_value_block(entry)
        value.data = value.block.data
        value.size = value.block.size
    else:
        value.block = NULL
        value.data = entry_payload(entry) + (entry.meta & 4095)
        value.size = (entry.meta >> 12) & 4095
    return value
