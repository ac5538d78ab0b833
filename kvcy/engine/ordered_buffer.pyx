# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The buffer of an ordered index: see ordered_buffer.pxd."""
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memmove

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.memory cimport memory_array_free, memory_array_new
from kvcy.engine.node cimport NODE_PREFIX_MAX, key_before, shared_bytes
from kvcy.engine.ordered_bound cimport EDGE_HIGHEST, EDGE_LOWEST, ordered_beyond
from kvcy.engine.platform cimport invariant, prefetch, unlikely

cdef enum:
    ITEM_KEY_BYTES = 12
    SORT_BLOCK = 8
    EQUAL_SHARE = 8                # of the new items: more equal ones are too many


cdef bint buffer_grow(OrderedBuffer* buffer, uint32_t capacity) noexcept nogil:
    cdef BufferItem* items = <BufferItem*> memory_array_new(capacity * sizeof(BufferItem))
    if items == NULL:
        return False
    if buffer.items != NULL:
        memcpy(items, buffer.items, buffer.count * sizeof(BufferItem))
        buffer_close(buffer)
    buffer.items = items
    buffer.capacity = capacity
    return True


cdef void buffer_close(OrderedBuffer* buffer) noexcept nogil:
    if buffer.items != NULL:
        memory_array_free(buffer.items, buffer_bytes(buffer))


# --- changing

cdef void shorten(OrderedBuffer* buffer, uint32_t skip) noexcept nogil:
    """Lets the items' bytes begin at `skip`, not behind where they do."""
    cdef uint32_t drop = min(buffer.skip - skip, <uint32_t> ITEM_KEY_BYTES)
    cdef BufferItem* item
    cdef uint32_t at, step
    for at in range(buffer.count):
        item = &buffer.items[at]
        for step in range(drop):
            item.more = item.more >> 8 | <uint32_t> item.word << 24
            item.word = item.word >> 8 | <uint64_t> <uint8_t> buffer.prefix[skip + drop - 1 - step] << 56
    buffer.skip = skip


cdef void buffer_append(OrderedBuffer* buffer, uint32_t handle, const char* key, size_t size) noexcept nogil:
    cdef size_t limit = min(size, <size_t> buffer.skip)
    cdef BufferItem* item = &buffer.items[buffer.count]
    invariant(buffer_has_room(buffer))
    if unlikely(buffer.count == 0):
        buffer.skip = <uint32_t> min(size, <size_t> NODE_PREFIX_MAX)
        memcpy(buffer.prefix, key, buffer.skip)
    elif unlikely(limit < buffer.skip or memcmp(key, buffer.prefix, limit) != 0):
        shorten(buffer, <uint32_t> shared_bytes(key, buffer.prefix, limit))
    key += buffer.skip
    size -= buffer.skip
    item.word = long_word_of(key, size)
    item.more = word_of(key + 8, size - 8) if size > 8 else 0
    item.handle = handle
    buffer.count += 1
    prefetch(item + 4)                             # what later ones write to


cdef uint32_t buffer_find(const OrderedBuffer* buffer, uint32_t handle, const Bytes* key) noexcept nogil:
    cdef uint64_t word = long_word_of(key.data + buffer.skip, key.size - buffer.skip)
    cdef uint32_t at = buffer_rank(buffer, word)
    while at < buffer.sorted and buffer.items[at].word == word:
        if buffer.items[at].handle == handle:
            return at
        at += 1
    at = buffer.sorted
    while buffer.items[at].handle != handle:       # ends: it is there
        at += 1
        invariant(at < buffer.count)
    return at


cdef void buffer_remove(OrderedBuffer* buffer, uint32_t at, uint32_t count) noexcept nogil:
    invariant(at + count <= buffer.count)
    invariant(at >= buffer.sorted or at + count <= buffer.sorted)
    memmove(buffer.items + at, buffer.items + at + count, (buffer.count - at - count) * sizeof(BufferItem))
    buffer.count -= count
    if at < buffer.sorted:
        buffer.sorted -= count


# --- sorting

cdef inline bint numbers_equal(const BufferItem* first, const BufferItem* second) noexcept nogil:
    return first.word == second.word and first.more == second.more


cdef inline bint numbers_before(const BufferItem* first, const BufferItem* second) noexcept nogil:
    """Not a branch: nothing could foretell it."""
    return (first.word < second.word) | (first.word == second.word) & (first.more < second.more)


cdef inline bint item_before(const Arena* entries, const BufferItem* first, const BufferItem* second) noexcept nogil:
    if unlikely(numbers_equal(first, second)):
        return key_before(entries, first.handle, second.handle)
    return numbers_before(first, second)


cdef inline void merge_pair(const BufferItem* left, const BufferItem* right, const BufferItem* end,
                            BufferItem* target) noexcept nogil:
    """Merges left..right and right..end by their numbers."""
    cdef const BufferItem* middle = right
    cdef size_t take
    while left < middle and right < end:
        take = numbers_before(right, left)
        target[0] = (left + take * <size_t> (right - left))[0]
        right += take
        left += 1 - take
        target += 1
    memcpy(target, left, (middle - left) * sizeof(BufferItem))
    memcpy(target + (middle - left), right, (end - right) * sizeof(BufferItem))


cdef inline void sort_block(const BufferItem* items, uint32_t count, BufferItem* target) noexcept nogil:
    """Sorts up to SORT_BLOCK items by their numbers: each goes where as many are before it."""
    cdef uint32_t[8] rank                          # SORT_BLOCK
    cdef uint32_t at, other, before
    for at in range(count):
        rank[at] = 0
        for other in range(at):
            before = numbers_before(&items[at], &items[other])
            rank[other] += before
            rank[at] += 1 - before
    for at in range(count):
        target[rank[at]] = items[at]


cdef const BufferItem* sort_numbers(BufferItem* items, BufferItem* scratch, uint32_t count) noexcept nogil:
    """Sorts the items by their numbers; answers which of the two arrays has them."""
    cdef BufferItem* source = scratch
    cdef BufferItem* target = items
    cdef BufferItem* other
    cdef uint32_t width = SORT_BLOCK
    cdef uint32_t at
    for at in range(count // SORT_BLOCK):
        sort_block(items + at * SORT_BLOCK, SORT_BLOCK, scratch + at * SORT_BLOCK)
    at = count // SORT_BLOCK * SORT_BLOCK
    sort_block(items + at, count - at, scratch + at)
    while width < count:
        at = 0
        while at < count:
            merge_pair(source + at, source + min(at + width, count), source + min(at + 2 * width, count), target + at)
            at += 2 * width
        other = source
        source = target
        target = other
        width *= 2
    return source


cdef void sort_equals(const Arena* entries, BufferItem* items, uint32_t count) noexcept nogil:
    """Sorts items that have the same numbers among each other, where they are few: by insertion."""
    cdef BufferItem moving
    cdef uint32_t at, hole
    for at in range(1, count):
        moving = items[at]
        hole = at
        while hole and numbers_equal(&moving, &items[hole - 1]) and \
                key_before(entries, moving.handle, items[hole - 1].handle):
            items[hole] = items[hole - 1]
            hole -= 1
        items[hole] = moving


cdef bint buffer_sort(OrderedBuffer* buffer, const Arena* entries) noexcept nogil:
    cdef BufferItem[512] scratch                   # BUFFER_NEW_MAX
    cdef BufferItem* items = buffer.items
    cdef uint32_t count = buffer.count - buffer.sorted
    cdef uint32_t equal = 0
    cdef uint32_t low = buffer.sorted
    cdef uint32_t at
    invariant(count <= BUFFER_NEW_MAX)
    if sort_numbers(items + low, scratch, count) != scratch:
        memcpy(scratch, items + low, count * sizeof(BufferItem))
    for at in range(1, count):
        equal += numbers_equal(&scratch[at - 1], &scratch[at])
    if equal > count // EQUAL_SHARE:
        memcpy(items + low, scratch, count * sizeof(BufferItem))
        return False
    if equal:
        sort_equals(entries, scratch, count)
    at = buffer.count
    while count:                                   # from the end; most of what is moved are old ones
        count -= 1
        at -= 1
        while low and item_before(entries, &scratch[count], &items[low - 1]):
            items[at] = items[low - 1]
            low -= 1
            at -= 1
        items[at] = scratch[count]
    buffer.sorted = buffer.count
    return True


# --- searching

cdef uint32_t buffer_rank(const OrderedBuffer* buffer, uint64_t word) noexcept nogil:
    cdef const BufferItem* at = buffer.items
    cdef uint32_t count = buffer.sorted
    cdef uint32_t half
    if count == 0:
        return 0
    while count > 1:
        half = count >> 1
        at += half * (at[half - 1].word < word)
        count -= half
    return <uint32_t> (at - buffer.items) + (at.word < word)


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


cdef inline const Entry* entry_of(const OrderedBuffer* buffer, const Arena* entries, uint32_t at) noexcept nogil:
    return <const Entry*> arena_at(entries, buffer.items[at].handle)


cdef bint between(const OrderedBuffer* buffer, const Arena* entries, uint32_t at, const OrderedBound* low,
                  const OrderedBound* high) noexcept nogil:
    cdef const Entry* entry = entry_of(buffer, entries, at)
    return not ordered_beyond(entry, low, True) and not ordered_beyond(entry, high, False)


cdef uint32_t seek_sorted(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound, bint reverse,
                          uint64_t word) noexcept nogil:
    """As buffer_seek, among the sorted items. `word`: items with smaller ones (`reverse`: larger ones) lie beyond."""
    cdef uint32_t at
    if not reverse:
        at = buffer_rank(buffer, word)
        while at < buffer.sorted and ordered_beyond(entry_of(buffer, entries, at), bound, True):
            at += 1
        return at if at < buffer.sorted else <uint32_t> BUFFER_NONE
    at = buffer.sorted if word == <uint64_t> -1 else buffer_rank(buffer, word + 1)
    while at and ordered_beyond(entry_of(buffer, entries, at - 1), bound, False):
        at -= 1
    return at - 1                                  # BUFFER_NONE if that was 0


cdef uint64_t least_new(const OrderedBuffer* buffer, uint64_t flip, uint64_t floor) noexcept nogil:
    """How far above the floor the lowest word of a new item lies that is not below it; words below count as very far
    above."""
    cdef uint64_t least = <uint64_t> -1
    cdef uint32_t at
    for at in range(buffer.sorted, buffer.count):
        least = min(least, (buffer.items[at].word ^ flip) - floor)
    return least


cdef uint32_t seek_new(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound, bint reverse,
                       uint64_t word) noexcept nogil:
    """As seek_sorted, among the new items."""
    cdef uint64_t flip = <uint64_t> -1 if reverse else 0      # turns the order round
    cdef uint64_t floor = word ^ flip
    cdef uint64_t least
    cdef uint32_t best, at
    while buffer.sorted < buffer.count:            # ends: the floor rises
        least = least_new(buffer, flip, floor)
        if least > <uint64_t> -1 - floor:
            break
        floor += least
        best = BUFFER_NONE
        for at in range(buffer.sorted, buffer.count):
            if buffer.items[at].word != floor ^ flip or \
                    ordered_beyond(entry_of(buffer, entries, at), bound, not reverse):
                continue
            if best == BUFFER_NONE or \
                    item_before(entries, &buffer.items[at], &buffer.items[best]) != reverse:
                best = at
        if best != BUFFER_NONE or floor == <uint64_t> -1:
            return best
        floor += 1
    return BUFFER_NONE


cdef uint32_t buffer_seek(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* bound,
                          bint reverse) noexcept nogil:
    cdef uint64_t word = <uint64_t> -1 if reverse else 0
    cdef int side = bound_word(buffer, bound, &word)
    cdef uint32_t old, new
    if side != 0 and (side > 0) != reverse:
        return BUFFER_NONE
    old = seek_sorted(buffer, entries, bound, reverse, word)
    new = seek_new(buffer, entries, bound, reverse, word)
    if old == BUFFER_NONE or new == BUFFER_NONE:
        return min(old, new)
    return old if item_before(entries, &buffer.items[old], &buffer.items[new]) != reverse else new


cdef uint32_t buffer_count(const OrderedBuffer* buffer, const Arena* entries, const OrderedBound* low,
                           const OrderedBound* high) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t last = <uint64_t> -1
    cdef uint32_t total = 0
    cdef uint32_t at, end
    if bound_word(buffer, low, &first) > 0 or bound_word(buffer, high, &last) < 0:
        return 0
    at = seek_sorted(buffer, entries, low, False, first)
    end = seek_sorted(buffer, entries, high, True, last)
    if at != BUFFER_NONE and end != BUFFER_NONE and at <= end:
        total = end + 1 - at
    for at in range(buffer.sorted, buffer.count):
        total += first <= buffer.items[at].word <= last and between(buffer, entries, at, low, high)
    return total


cdef uint32_t buffer_next(const OrderedBuffer* buffer, const Arena* entries, uint32_t at, const OrderedBound* low,
                          const OrderedBound* high) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t last = <uint64_t> -1
    if bound_word(buffer, low, &first) > 0 or bound_word(buffer, high, &last) < 0:
        return BUFFER_NONE
    if at < buffer.sorted:
        at = max(at, buffer_rank(buffer, first))
    while at < buffer.count:
        if first <= buffer.items[at].word <= last:
            if between(buffer, entries, at, low, high):
                return at
        elif at < buffer.sorted:
            at = buffer.sorted                     # the first of them that is too large
            continue
        at += 1
    return BUFFER_NONE
