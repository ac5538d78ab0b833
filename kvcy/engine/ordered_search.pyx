# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Searching the buffer of an ordered index: see ordered_search.pxd.

Neither the new items nor those of a bucket are in any order: all of them are looked at, of the buckets one, or where
a bucket has nothing of what is looked for, the next ones.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcmp

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.node cimport long_word_of
from kvcy.engine.ordered_bound cimport EDGE_HIGHEST, EDGE_LOWEST, ordered_beyond
from kvcy.engine.ordered_buffer cimport (
    BUFFER_CHUNK_ITEMS, BUFFER_NEW_MAX, BUFFER_NONE, BufferItem, buffer_bucket_of, buffer_chunk, buffer_chunk_at,
    buffer_chunk_place, buffer_first_bucket, buffer_first_items, buffer_lows_upto, buffer_place)
from kvcy.engine.ordered_sort cimport item_before


cdef int bound_word(const OrderedBuffer* buffer, const OrderedBound* bound, uint64_t* word) noexcept nogil:
    """0: *word is the bound's; keys with smaller ones lie before it, with larger ones behind. Negative: all keys lie
    behind the bound; positive: before it."""
    cdef int order
    if bound.edge == EDGE_LOWEST or bound.edge == EDGE_HIGHEST:
        return -1 if bound.edge == EDGE_LOWEST else 1
    order = memcmp(bound.data, buffer.prefix, min(bound.size, <size_t> buffer.skip))
    if order != 0 or bound.size < buffer.skip:
        return 1 if order > 0 else -1
    word[0] = long_word_of(bound.data + buffer.skip, bound.size - buffer.skip)
    return 0


cdef inline const Entry* entry_of(const Arena* entries, const BufferItem* item) noexcept nogil:
    return <const Entry*> arena_at(entries, item.handle)


cdef bint between(const Arena* entries, const BufferItem* item, const OrderedBound* low,
                  const OrderedBound* high) noexcept nogil:
    cdef const Entry* entry = entry_of(entries, item)
    return not ordered_beyond(entry, low, True) and not ordered_beyond(entry, high, False)


cdef struct Seeking:
    const Arena* entries
    const OrderedBound* bound
    bint reverse
    uint64_t flip                  # turns the order round
    uint64_t floor                 # the bound's word, so turned: items with smaller ones lie on its other side
    uint64_t least                 # how far above it the best one's word lies; at first, how far one can at all
    const BufferItem* best         # NULL: none so far


cdef void seek_among(Seeking* seeking, const BufferItem* items, uint32_t count) noexcept nogil:
    cdef uint64_t flip = seeking.flip
    cdef uint64_t floor = seeking.floor
    cdef const BufferItem* item
    cdef uint64_t above
    cdef uint32_t at
    for at in range(count):
        above = (items[at].word ^ flip) - floor    # of a word below: farther than one can
        if above > seeking.least:
            continue
        item = &items[at]
        if above == 0 and ordered_beyond(entry_of(seeking.entries, item), seeking.bound, not seeking.reverse):
            continue
        if seeking.best == NULL or above < seeking.least or \
                item_before(seeking.entries, item, seeking.best) != seeking.reverse:
            seeking.best = item
            seeking.least = above


cdef void seek_in_bucket(const OrderedBuffer* buffer, Seeking* seeking, uint32_t bucket) noexcept nogil:
    cdef uint32_t number = buffer.firsts[bucket]
    cdef uint32_t items = buffer_first_items(buffer, bucket)
    while number:
        seek_among(seeking, buffer_chunk(buffer, number), items)
        items = BUFFER_CHUNK_ITEMS
        number = buffer.nexts[number]


cdef uint32_t buffer_seek(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound,
                          bint reverse) noexcept nogil:
    cdef uint64_t word = <uint64_t> -1 if reverse else 0
    cdef int side = bound_word(buffer, bound, &word)
    cdef Seeking seeking
    cdef uint32_t bucket
    if side != 0 and (side > 0) != reverse:
        return BUFFER_NONE
    seeking.entries = entries
    seeking.bound = bound
    seeking.reverse = reverse
    seeking.flip = <uint64_t> -1 if reverse else 0
    seeking.floor = word ^ seeking.flip
    seeking.least = <uint64_t> -1 - seeking.floor
    seeking.best = NULL
    seek_among(&seeking, buffer.items, buffer.fresh)
    if not reverse:
        bucket = buffer_first_bucket(buffer, word)
        while bucket < buffer.buckets and (seeking.best == NULL or buffer.lows[bucket] <= seeking.best.word):
            seek_in_bucket(buffer, &seeking, bucket)
            bucket += 1
    else:
        bucket = buffer_lows_upto(buffer, word)
        while bucket and (seeking.best == NULL or bucket == buffer.buckets or
                          buffer.lows[bucket] >= seeking.best.word):
            bucket -= 1
            seek_in_bucket(buffer, &seeking, bucket)
    return BUFFER_NONE if seeking.best == NULL else buffer_place(buffer, seeking.best)


cdef uint32_t count_among(const Arena* entries, const BufferItem* items, uint32_t count, const OrderedBound* low,
                          const OrderedBound* high, uint64_t first, uint64_t last) noexcept nogil:
    """How many of the items lie between the bounds, whose words are these."""
    cdef uint32_t total = 0
    cdef uint32_t at
    for at in range(count):
        if first < items[at].word < last:
            total += 1
        elif items[at].word == first or items[at].word == last:
            total += between(entries, &items[at], low, high)
    return total


cdef uint32_t buffer_count(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* low,
                           const OrderedBound* high) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t last = <uint64_t> -1
    cdef uint32_t total, bucket, number, items
    if bound_word(buffer, low, &first) > 0 or bound_word(buffer, high, &last) < 0 or first > last:
        return 0
    total = count_among(entries, buffer.items, buffer.fresh, low, high, first, last)
    for bucket in range(buffer_first_bucket(buffer, first), buffer_lows_upto(buffer, last)):
        if first < buffer.lows[bucket] and bucket + 1 < buffer.buckets and buffer.lows[bucket + 1] < last:
            total += buffer.counts[bucket]
            continue
        number = buffer.firsts[bucket]
        items = buffer_first_items(buffer, bucket)
        while number:
            total += count_among(entries, buffer_chunk(buffer, number), items, low, high, first, last)
            items = BUFFER_CHUNK_ITEMS
            number = buffer.nexts[number]
    return total


cdef uint32_t buffer_next(const OrderedBuffer* buffer, const Arena* entries, uint32_t after, const OrderedBound* low,
                          const OrderedBound* high) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t last = <uint64_t> -1
    cdef uint32_t at = after + 1                   # of BUFFER_NONE: 0
    cdef uint32_t bucket, number, items
    cdef const BufferItem* chunk
    if bound_word(buffer, low, &first) > 0 or bound_word(buffer, high, &last) < 0:
        return BUFFER_NONE
    if at <= BUFFER_NEW_MAX:
        for at in range(at, buffer.fresh):
            if first <= buffer.items[at].word <= last and between(entries, &buffer.items[at], low, high):
                return at
        bucket = buffer_first_bucket(buffer, first)
        number = buffer.firsts[bucket]
        at = 0
    else:
        bucket = buffer_bucket_of(buffer, after)
        number = buffer_chunk_at(after)
        at = buffer_chunk_place(after) + 1
    while True:                                    # ends: at the last bucket at the latest
        while number:
            chunk = buffer_chunk(buffer, number)
            items = buffer_first_items(buffer, bucket) if number == buffer.firsts[bucket] else BUFFER_CHUNK_ITEMS
            for at in range(at, items):
                if first <= chunk[at].word <= last and between(entries, &chunk[at], low, high):
                    return buffer_place(buffer, &chunk[at])
            number = buffer.nexts[number]
            at = 0
        bucket += 1
        if bucket == buffer.buckets or buffer.lows[bucket] > last:
            return BUFFER_NONE
        number = buffer.firsts[bucket]
