# cython: language_level=3
"""The buffer of an ordered index (ordered.pxd): keys that are not in the tree yet.

    item, 16 bytes:    word 8 | more 4 | handle 4
    items:             new ones, in no order [BUFFER_NEW_MAX] | chunks of 16 items

An item names an entry and has twelve bytes of its key, behind the first `skip` bytes, which all keys of the buffer
share and which are kept once: as two numbers that are ordered as they are, filled up with zeros. So sorting, and
looking for the next key of a range, hardly ever read an entry. A key that does not share the beginning shortens
it: the items take over its last bytes, and no entry is read. An empty buffer takes the whole next key for its
beginning.

A new item waits until there are many, and is then put into its *bucket*. The buckets divide the keys: a bucket has the
words from its `low` up to the next one's, in no order, as a list of chunks. What links the chunks stands apart from
them: so all of a bucket can be fetched at once.

What holds: each item's numbers are made of the twelve bytes of its key behind `skip`; all keys begin with the first
`skip` bytes of `prefix`; no key is there twice; lows[0] is 0, the lows do not fall; lows[i] <= the words in bucket i <=
lows[i + 1]; only the first chunk of a bucket may be less than full, and it is not empty.

REQUIRES for all calls: the shard's lock; exclusively for what changes the buffer.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport long_word_of, word_of
from kvcy.engine.platform cimport invariant, load_big_u64, prefetch, unlikely

cdef enum:
    BUFFER_NEW_MAX = 512
    BUFFER_BUCKETS_MAX = 64
    BUFFER_BUCKET_ITEMS_MAX = 512
    BUFFER_CHUNK_ITEMS = 16
    BUFFER_CHUNKS_MIN = 16
    BUFFER_CHUNKS_MAX = 544
    BUFFER_NONE = 0xFFFFFFFF       # no place, no bucket

cdef struct BufferItem:
    uint64_t word
    uint32_t more
    uint32_t handle

cdef struct OrderedBuffer:         # zeroed: one without room
    BufferItem* items              # owned; a place is an index into it
    uint32_t fresh                 # new items
    uint32_t count                 # items in buckets
    uint32_t skip
    char[51] prefix                # NODE_PREFIX_MAX
    uint32_t chunks                # that there are; their numbers go from 1 on
    uint32_t spare                 # the first chunk that is not in use, or 0
    uint32_t buckets
    uint64_t[64] lows              # BUFFER_BUCKETS_MAX
    uint32_t[64] firsts            # each bucket's first chunk, or 0
    uint32_t[64] counts            # its items, BUFFER_BUCKET_ITEMS_MAX at most
    uint16_t[545] nexts            # BUFFER_CHUNKS_MAX + 1: of each chunk the next of the bucket, or not in use; or 0

cdef inline uint64_t buffer_bytes_of(uint32_t chunks) noexcept nogil:
    return (BUFFER_NEW_MAX + chunks * BUFFER_CHUNK_ITEMS) * sizeof(BufferItem)


cdef inline uint64_t buffer_bytes(const OrderedBuffer* buffer) noexcept nogil:
    """What its items take of the arrays' memory."""
    return buffer_bytes_of(buffer.chunks) if buffer.chunks else 0


# Gives it `chunks` chunks, more than it has; false (nothing changed): no memory.
cdef bint buffer_grow(OrderedBuffer* buffer, uint32_t chunks) noexcept nogil
cdef void buffer_close(OrderedBuffer* buffer) noexcept nogil
# Cuts the beginning to what the key shares, or lets the empty buffer have the key's.
cdef void buffer_admit(OrderedBuffer* buffer, const char* key, size_t size) noexcept nogil
# The place of an entry with this key. REQUIRES: it is there.
cdef uint32_t buffer_find(const OrderedBuffer* buffer, uint32_t handle, const Bytes* key) noexcept nogil
# Takes out the item at the place. REQUIRES: its key can still be read.
cdef void buffer_remove(OrderedBuffer* buffer, uint32_t at) noexcept nogil
# Puts the new items into their buckets. BUFFER_NONE: all of them; else which bucket has to be emptied first.
cdef uint32_t buffer_spread(OrderedBuffer* buffer) noexcept nogil
# The bucket with the fewest items that is not empty. REQUIRES: not all are.
cdef uint32_t buffer_emptiest(const OrderedBuffer* buffer) noexcept nogil
# Moves all of the bucket's items to `target`, which has room for BUFFER_BUCKET_ITEMS_MAX; how many.
cdef uint32_t buffer_take(OrderedBuffer* buffer, uint32_t bucket, BufferItem* target) noexcept nogil
# Puts some of them, or all, back. REQUIRES: nothing has changed since buffer_take.
cdef void buffer_put_back(OrderedBuffer* buffer, uint32_t bucket, const BufferItem* items,
                          uint32_t count) noexcept nogil
# Divides the empty bucket at the word, if that is not where it begins.
cdef void buffer_divide(OrderedBuffer* buffer, uint32_t bucket, uint64_t word) noexcept nogil
# In which bucket the place is. REQUIRES: it is not among the new ones.
cdef uint32_t buffer_bucket_of(const OrderedBuffer* buffer, uint32_t at) noexcept nogil


cdef inline bint buffer_has_room(const OrderedBuffer* buffer) noexcept nogil:
    """For another new item."""
    return buffer.fresh < BUFFER_NEW_MAX


cdef inline BufferItem* buffer_chunk(const OrderedBuffer* buffer, uint32_t number) noexcept nogil:
    """The chunk's items. REQUIRES: number > 0."""
    return buffer.items + BUFFER_NEW_MAX + (number - 1) * <uint32_t> BUFFER_CHUNK_ITEMS


cdef inline uint32_t buffer_place(const OrderedBuffer* buffer, const BufferItem* item) noexcept nogil:
    return <uint32_t> (item - buffer.items)


cdef inline uint32_t buffer_chunk_at(uint32_t at) noexcept nogil:
    """The number of the chunk where the place is. REQUIRES: it is not among the new ones."""
    return (at - <uint32_t> BUFFER_NEW_MAX) // <uint32_t> BUFFER_CHUNK_ITEMS + 1


cdef inline uint32_t buffer_chunk_place(uint32_t at) noexcept nogil:
    """Which of the chunk's items is there. REQUIRES: it is not among the new ones."""
    return (at - <uint32_t> BUFFER_NEW_MAX) % <uint32_t> BUFFER_CHUNK_ITEMS


cdef inline uint32_t buffer_first_items(const OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """How many of its items are in its first chunk; the others are full. REQUIRES: it is not empty."""
    return (buffer.counts[bucket] - 1) % <uint32_t> BUFFER_CHUNK_ITEMS + 1


cdef inline uint32_t buffer_lows_upto(const OrderedBuffer* buffer, uint64_t word) noexcept nogil:
    """How many of the buckets begin at the word or before it; one at least. A binary search without branches."""
    cdef uint32_t at = 0
    cdef uint32_t count = buffer.buckets
    cdef uint32_t half
    while count > 1:
        half = count >> 1
        at = at + half if buffer.lows[at + half] <= word else at
        count -= half
    return at + 1


cdef inline uint32_t buffer_first_bucket(const OrderedBuffer* buffer, uint64_t word) noexcept nogil:
    """The first bucket that may have the word."""
    return 0 if word == 0 else buffer_lows_upto(buffer, word - 1) - 1


cdef inline bint buffer_shares(const OrderedBuffer* buffer, const char* key, size_t size) noexcept nogil:
    """Whether the key begins with what all keys of the buffer share."""
    if buffer.skip < 8 and size >= 8:
        return (load_big_u64(key) ^ load_big_u64(buffer.prefix)) >> 1 >> (63 - 8 * buffer.skip) == 0
    return size >= buffer.skip and memcmp(key, buffer.prefix, buffer.skip) == 0


cdef inline void buffer_append(OrderedBuffer* buffer, uint32_t handle, const char* key, size_t size) noexcept nogil:
    """REQUIRES: buffer_has_room."""
    cdef BufferItem* item = &buffer.items[buffer.fresh]
    invariant(buffer_has_room(buffer))
    if unlikely(buffer.fresh + buffer.count == 0 or not buffer_shares(buffer, key, size)):
        buffer_admit(buffer, key, size)
    key += buffer.skip
    size -= buffer.skip
    item.word = long_word_of(key, size)
    item.more = word_of(key + 8, size - 8) if size > 8 else 0
    item.handle = handle
    buffer.fresh += 1
    prefetch(item + 4)                             # what later ones write to
