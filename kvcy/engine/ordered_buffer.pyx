# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The buffer of an ordered index: see ordered_buffer.pxd."""
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy, memmove

from kvcy.engine.memory cimport memory_array_free_roomy, memory_array_grow, memory_array_new_roomy
from kvcy.engine.node cimport NODE_PREFIX_MAX, long_word_of, shared_bytes
from kvcy.engine.platform cimport invariant, prefetch, unlikely

cdef enum:
    ITEM_KEY_BYTES = 12
    ITEMS_AHEAD = 64               # of those that are read one after the other
    JOIN_ITEMS_MAX = 256           # of two buckets that may be joined


cdef bint buffer_grow(OrderedBuffer* buffer, uint32_t chunks) noexcept nogil:
    cdef uint64_t bytes = buffer_bytes_of(chunks)
    cdef uint32_t number
    if buffer.items == NULL:
        buffer.items = <BufferItem*> memory_array_new_roomy(bytes, buffer_bytes_of(BUFFER_CHUNKS_MAX))
        if buffer.items == NULL:
            return False
        buffer.buckets = 1
    elif not memory_array_grow(buffer_bytes(buffer), bytes):
        return False
    for number in range(chunks, buffer.chunks, -1):
        chunk_free(buffer, number)
    buffer.chunks = chunks
    return True


cdef void buffer_close(OrderedBuffer* buffer) noexcept nogil:
    if buffer.items != NULL:
        memory_array_free_roomy(buffer.items, buffer_bytes(buffer), buffer_bytes_of(BUFFER_CHUNKS_MAX))


# --- buckets

cdef inline void chunk_free(OrderedBuffer* buffer, uint32_t number) noexcept nogil:
    buffer.nexts[number] = <uint16_t> buffer.spare
    buffer.spare = number


cdef inline void chunk_add(OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """REQUIRES: a spare chunk; the bucket's first one, if there is one, is full."""
    cdef uint32_t number = buffer.spare
    invariant(number != 0)
    buffer.spare = buffer.nexts[number]
    buffer.nexts[number] = <uint16_t> buffer.firsts[bucket]
    buffer.firsts[bucket] = number


cdef inline bint first_full(const OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """Whether its first chunk has no room, or there is none."""
    return buffer.counts[bucket] % <uint32_t> BUFFER_CHUNK_ITEMS == 0


cdef inline void put(OrderedBuffer* buffer, uint32_t bucket, const BufferItem* item) noexcept nogil:
    """REQUIRES: a spare chunk, unless the bucket's first one has room."""
    if first_full(buffer, bucket):
        chunk_add(buffer, bucket)
    put_place(buffer, bucket)[0] = item[0]
    buffer.counts[bucket] += 1
    buffer.count += 1


cdef inline BufferItem pop(OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """REQUIRES: the bucket is not empty."""
    cdef uint32_t number = buffer.firsts[bucket]
    cdef BufferItem item
    invariant(number != 0 and buffer.counts[bucket] > 0)
    buffer.counts[bucket] -= 1
    buffer.count -= 1
    item = buffer_chunk(buffer, number)[buffer.counts[bucket] % <uint32_t> BUFFER_CHUNK_ITEMS]
    if buffer.counts[bucket] % <uint32_t> BUFFER_CHUNK_ITEMS == 0:
        buffer.firsts[bucket] = buffer.nexts[number]
        chunk_free(buffer, number)
    return item


cdef uint32_t fullest(const OrderedBuffer* buffer) noexcept nogil:
    cdef uint32_t best = 0
    cdef uint32_t bucket
    for bucket in range(1, buffer.buckets):
        if buffer.counts[bucket] > buffer.counts[best]:
            best = bucket
    return best


cdef inline BufferItem* put_place(const OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """Where its next item comes, if its first chunk has room."""
    return buffer_chunk(buffer, buffer.firsts[bucket]) + buffer.counts[bucket] % <uint32_t> BUFFER_CHUNK_ITEMS


cdef uint32_t buffer_emptiest(const OrderedBuffer* buffer) noexcept nogil:
    cdef uint32_t best = 0
    cdef uint32_t bucket
    for bucket in range(1, buffer.buckets):
        if buffer.counts[bucket] and (buffer.counts[best] == 0 or buffer.counts[bucket] < buffer.counts[best]):
            best = bucket
    return best


cdef void new_drop(OrderedBuffer* buffer, uint32_t count) noexcept nogil:
    """The first new items are in their buckets."""
    buffer.count += count
    buffer.fresh -= count
    memmove(buffer.items, buffer.items + count, buffer.fresh * sizeof(BufferItem))


cdef inline uint32_t step(const uint64_t* lows, uint32_t at, uint32_t half, uint64_t word) noexcept nogil:
    return at + half if lows[at + half] <= word else at


cdef void find_buckets(const OrderedBuffer* buffer, const BufferItem* items, uint32_t count,
                       uint32_t* found) noexcept nogil:
    """Each item's bucket: as buffer_lows_upto, but there are always as many steps, so none of them is a branch."""
    cdef uint64_t[64] lows                         # BUFFER_BUCKETS_MAX
    cdef uint32_t at, place
    cdef uint64_t word
    memcpy(lows, buffer.lows, sizeof(lows))
    for at in range(buffer.buckets, <uint32_t> BUFFER_BUCKETS_MAX):
        lows[at] = <uint64_t> -1
    for at in range(count):
        prefetch(&items[at + ITEMS_AHEAD])
        word = items[at].word
        place = step(lows, 0, 32, word)
        place = step(lows, place, 16, word)
        place = step(lows, place, 8, word)
        place = step(lows, place, 4, word)
        place = step(lows, place, 2, word)
        found[at] = min(step(lows, place, 1, word), buffer.buckets - 1)


cdef inline void lines_prefetch(const void* first, size_t size) noexcept nogil:
    cdef size_t line
    for line in range(0, size, 64):
        prefetch(<const char*> first + line)


cdef inline void chunk_prefetch(const OrderedBuffer* buffer, uint32_t number) noexcept nogil:
    lines_prefetch(buffer_chunk(buffer, number), BUFFER_CHUNK_ITEMS * sizeof(BufferItem))


cdef void spread_prefetch(const OrderedBuffer* buffer) noexcept nogil:
    """Fetches what buffer_spread begins with, and where it begins to write."""
    cdef uint32_t bucket
    lines_prefetch(buffer.items, ITEMS_AHEAD * sizeof(BufferItem))
    lines_prefetch(buffer.firsts, sizeof(OrderedBuffer) - (<char*> buffer.firsts - <char*> buffer))
    for bucket in range(buffer.buckets):
        if not first_full(buffer, bucket):
            chunk_prefetch(buffer, buffer.firsts[bucket])


cdef uint32_t buffer_spread(OrderedBuffer* buffer) noexcept nogil:
    cdef uint32_t[64] found                        # ITEMS_AHEAD: the buckets of some items
    cdef uint32_t at, bucket
    spread_prefetch(buffer)
    for at in range(buffer.fresh):                 # first come, first served: what comes in order stays so
        if at % ITEMS_AHEAD == 0:
            find_buckets(buffer, buffer.items + at, min(buffer.fresh - at, <uint32_t> ITEMS_AHEAD), found)
        bucket = found[at % ITEMS_AHEAD]
        if unlikely(first_full(buffer, bucket)):
            if buffer.counts[bucket] == BUFFER_BUCKET_ITEMS_MAX:
                new_drop(buffer, at)
                return bucket
            if buffer.spare == 0:
                new_drop(buffer, at)
                return fullest(buffer)
            chunk_add(buffer, bucket)
            if buffer.spare:
                chunk_prefetch(buffer, buffer.spare)
        put_place(buffer, bucket)[0] = buffer.items[at]
        buffer.counts[bucket] += 1
    new_drop(buffer, buffer.fresh)
    return BUFFER_NONE


cdef void bucket_prefetch(const OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    cdef uint32_t number = buffer.firsts[bucket]
    while number:
        chunk_prefetch(buffer, number)
        number = buffer.nexts[number]


cdef uint32_t buffer_take(OrderedBuffer* buffer, uint32_t bucket, BufferItem* target) noexcept nogil:
    cdef uint32_t number = buffer.firsts[bucket]
    cdef uint32_t items = buffer_first_items(buffer, bucket)
    cdef uint32_t count = 0
    cdef uint32_t next
    bucket_prefetch(buffer, bucket)
    while number:                                  # whole chunks: what is copied too much is overwritten by the next
        memcpy(target + count, buffer_chunk(buffer, number), BUFFER_CHUNK_ITEMS * sizeof(BufferItem))
        count += items
        items = BUFFER_CHUNK_ITEMS
        next = buffer.nexts[number]
        chunk_free(buffer, number)
        number = next
    invariant(count == buffer.counts[bucket])
    buffer.firsts[bucket] = 0
    buffer.counts[bucket] = 0
    buffer.count -= count
    return count


cdef void buffer_put_back(OrderedBuffer* buffer, uint32_t bucket, const BufferItem* items,
                          uint32_t count) noexcept nogil:
    cdef uint32_t at
    for at in range(count):
        put(buffer, bucket, &items[at])


cdef void bucket_close(OrderedBuffer* buffer, uint32_t bucket) noexcept nogil:
    """The one before the empty bucket has its words from now on."""
    cdef uint32_t after = buffer.buckets - bucket - 1
    buffer.buckets -= 1
    memmove(&buffer.lows[bucket], &buffer.lows[bucket + 1], after * sizeof(uint64_t))
    memmove(&buffer.firsts[bucket], &buffer.firsts[bucket + 1], after * sizeof(uint32_t))
    memmove(&buffer.counts[bucket], &buffer.counts[bucket + 1], after * sizeof(uint32_t))


cdef uint32_t join(OrderedBuffer* buffer, uint32_t beside) noexcept nogil:
    """Joins the two neighbours with the fewest items, `beside` not among them; which bucket has gone, or BUFFER_NONE:
    they are too full. REQUIRES: a spare chunk."""
    cdef uint32_t best = BUFFER_NONE
    cdef uint32_t best_count = JOIN_ITEMS_MAX
    cdef uint32_t right, count
    cdef BufferItem item
    for right in range(1, buffer.buckets):
        count = buffer.counts[right - 1] + buffer.counts[right]
        if count < best_count and right != beside and right != beside + 1:
            best = right
            best_count = count
    if best == BUFFER_NONE:
        return BUFFER_NONE
    while buffer.counts[best]:
        item = pop(buffer, best)
        put(buffer, best - 1, &item)
    bucket_close(buffer, best)
    return best


cdef void buffer_divide(OrderedBuffer* buffer, uint32_t bucket, uint64_t word) noexcept nogil:
    cdef uint32_t gone, after
    invariant(buffer.counts[bucket] == 0)
    if word == buffer.lows[bucket] or buffer.spare == 0:
        return
    if buffer.buckets == BUFFER_BUCKETS_MAX:
        gone = join(buffer, bucket)
        if gone == BUFFER_NONE:
            return
        bucket -= gone < bucket
    bucket += 1
    after = buffer.buckets - bucket
    memmove(&buffer.lows[bucket + 1], &buffer.lows[bucket], after * sizeof(uint64_t))
    memmove(&buffer.firsts[bucket + 1], &buffer.firsts[bucket], after * sizeof(uint32_t))
    memmove(&buffer.counts[bucket + 1], &buffer.counts[bucket], after * sizeof(uint32_t))
    buffer.lows[bucket] = word
    buffer.firsts[bucket] = 0
    buffer.counts[bucket] = 0
    buffer.buckets += 1


# --- changing

cdef inline void shift(uint64_t* word, uint32_t* more, const char* head, uint32_t count) noexcept nogil:
    """Puts `count` bytes before the numbers' own."""
    for count in range(count, 0, -1):
        more[0] = more[0] >> 8 | <uint32_t> word[0] << 24
        word[0] = word[0] >> 8 | <uint64_t> <uint8_t> head[count - 1] << 56


cdef void shorten(OrderedBuffer* buffer, uint32_t skip) noexcept nogil:
    """Lets the items' bytes begin at `skip`, not behind where they do."""
    cdef uint32_t drop = min(buffer.skip - skip, <uint32_t> ITEM_KEY_BYTES)
    cdef const char* head = buffer.prefix + skip
    cdef uint32_t unused = 0
    cdef uint32_t places = BUFFER_NEW_MAX + buffer.chunks * BUFFER_CHUNK_ITEMS
    cdef uint32_t at
    for at in range(places):                       # of what is not in use too: it does not matter
        shift(&buffer.items[at].word, &buffer.items[at].more, head, drop)
    for at in range(1, buffer.buckets):
        shift(&buffer.lows[at], &unused, head, drop)
    buffer.skip = skip


cdef void buffer_admit(OrderedBuffer* buffer, const char* key, size_t size) noexcept nogil:
    if buffer.fresh or buffer.count:
        shorten(buffer, <uint32_t> shared_bytes(key, buffer.prefix, min(size, <size_t> buffer.skip)))
        return
    buffer.skip = <uint32_t> min(size, <size_t> NODE_PREFIX_MAX)
    buffer.buckets = 1
    memcpy(buffer.prefix, key, buffer.skip)


cdef uint32_t find_in_bucket(const OrderedBuffer* buffer, uint32_t bucket, uint32_t handle) noexcept nogil:
    cdef uint32_t number = buffer.firsts[bucket]
    cdef uint32_t items = buffer_first_items(buffer, bucket)
    cdef const BufferItem* chunk
    cdef uint32_t at
    while number:
        chunk = buffer_chunk(buffer, number)
        for at in range(items):
            if chunk[at].handle == handle:
                return buffer_place(buffer, &chunk[at])
        items = BUFFER_CHUNK_ITEMS
        number = buffer.nexts[number]
    return BUFFER_NONE


cdef uint32_t buffer_find(const OrderedBuffer* buffer, uint32_t handle, const Bytes* key) noexcept nogil:
    cdef uint64_t word = long_word_of(key.data + buffer.skip, key.size - buffer.skip)
    cdef uint32_t bucket = buffer_first_bucket(buffer, word)
    cdef uint32_t at
    for at in range(buffer.fresh):
        if buffer.items[at].handle == handle:
            return at
    at = BUFFER_NONE
    while at == BUFFER_NONE:                       # ends: it is there
        invariant(bucket < buffer.buckets)
        at = find_in_bucket(buffer, bucket, handle)
        bucket += 1
    return at


cdef uint32_t buffer_bucket_of(const OrderedBuffer* buffer, uint32_t at) noexcept nogil:
    cdef uint32_t wanted = buffer_chunk_at(at)
    cdef uint32_t bucket = buffer_first_bucket(buffer, buffer.items[at].word)
    cdef uint32_t number
    while True:                                    # ends: it is in one of them
        invariant(bucket < buffer.buckets)
        number = buffer.firsts[bucket]
        while number and number != wanted:
            number = buffer.nexts[number]
        if number:
            return bucket
        bucket += 1


cdef void buffer_remove(OrderedBuffer* buffer, uint32_t at) noexcept nogil:
    if at >= BUFFER_NEW_MAX:
        buffer.items[at] = pop(buffer, buffer_bucket_of(buffer, at))
        return
    invariant(at < buffer.fresh)
    buffer.fresh -= 1
    buffer.items[at] = buffer.items[buffer.fresh]
