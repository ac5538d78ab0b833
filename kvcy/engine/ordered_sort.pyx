# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sorting the items of an ordered index's buffer: see ordered_sort.pxd.

What is sorted are not the items but numbers of eight bytes: the first 55 bits in which their words differ, and behind
them where the item is. So an item is moved once, and equal bits keep their order. Where many are equal, the bits behind
are sorted first, which leaves equal only what has equal numbers. The rest is a matter of neighbours.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cdef enum:
    SORT_BLOCK = 8
    EQUAL_SHARE = 8                # of the items: more equal ones are too many
    PLACE_BITS = 9                 # of BUFFER_BUCKET_ITEMS_MAX
    PLACE_MASK = 511
    SORTED_BITS = 55               # what is left of 64


cdef inline void merge_pair(const uint64_t* left, uint32_t left_count, const uint64_t* right, uint32_t right_count,
                            uint64_t* target) noexcept nogil:
    """Merges two runs, in as many steps from each end as the shorter one has numbers: none of them can run out. Of
    what lies between them then the same again. No branch depends on the numbers; from both ends at a time, since either
    chain waits for what it has loaded."""
    cdef uint64_t* target_last = target + left_count + right_count - 1
    cdef const uint64_t* left_last = left + left_count - 1
    cdef const uint64_t* right_last = right + right_count - 1
    cdef int64_t steps
    cdef size_t take
    while True:                                    # ends: one of them has been used up
        steps = min(left_last - left, right_last - right) + 1
        if steps <= 0:
            break
        while steps:
            take = right[0] < left[0]
            target[0] = (left + take * <size_t> (right - left))[0]
            right += take
            left += 1 - take
            target += 1
            take = right_last[0] < left_last[0]
            target_last[0] = (right_last + take * <size_t> (left_last - right_last))[0]
            left_last -= take
            right_last -= 1 - take
            target_last -= 1
            steps -= 1
    if right > right_last:
        right = left
    memcpy(target, right, (target_last + 1 - target) * sizeof(uint64_t))


cdef void numbers_merge(const uint64_t* left, uint32_t left_count, const uint64_t* right, uint32_t right_count,
                        uint64_t* target) noexcept nogil:
    merge_pair(left, left_count, right, right_count, target)


cdef inline void sort_block(const uint64_t* numbers, uint32_t count, uint64_t* target) noexcept nogil:
    """Sorts up to SORT_BLOCK numbers: each goes where as many are before it."""
    cdef uint32_t[8] rank                          # SORT_BLOCK
    cdef uint32_t at, other, before
    for at in range(count):
        rank[at] = 0
        for other in range(at):
            before = numbers[at] < numbers[other]
            rank[other] += before
            rank[at] += 1 - before
    for at in range(count):
        target[rank[at]] = numbers[at]


cdef uint64_t* merge_sort(uint64_t* numbers, uint64_t* scratch, uint32_t count) noexcept nogil:
    """Which of the two arrays has them then."""
    cdef uint64_t* source = scratch
    cdef uint64_t* target = numbers
    cdef uint64_t* other
    cdef uint32_t width = SORT_BLOCK
    cdef uint32_t at, middle
    for at in range(count // SORT_BLOCK):
        sort_block(numbers + at * SORT_BLOCK, SORT_BLOCK, scratch + at * SORT_BLOCK)
    at = count // SORT_BLOCK * SORT_BLOCK
    sort_block(numbers + at, count - at, scratch + at)
    while width < count:
        at = 0
        while at < count:
            middle = min(at + width, count)
            merge_pair(source + at, middle - at, source + middle, min(middle + width, count) - middle, target + at)
            at += 2 * width
        other = source
        source = target
        target = other
        width *= 2
    return source


cdef inline uint32_t shared_bits(const BufferItem* items, uint32_t count) noexcept nogil:
    """How many bits all words begin with, 63 at most."""
    cdef uint64_t differing = 1
    cdef uint32_t bits = 0
    cdef uint32_t at
    for at in range(1, count):
        differing |= items[at].word ^ items[0].word
    while differing << bits >> 63 == 0:
        bits += 1
    return bits


cdef struct Sorting:                               # room for BUFFER_BUCKET_ITEMS_MAX
    uint64_t[512] numbers
    uint64_t[512] scratch


cdef uint32_t sort_by(Sorting* room, const BufferItem* items, uint32_t count, uint32_t skip, bint behind,
                      BufferItem* target) noexcept nogil:
    """Sorts by SORTED_BITS behind the first `skip`, which is at most 63, or with `behind` by those behind these; how
    many have the same as the one before them."""
    cdef const uint64_t* sorted
    cdef uint64_t high, low
    cdef uint32_t equal = 0
    cdef uint32_t at
    for at in range(count):
        low = <uint64_t> items[at].more << 32
        high = items[at].word << skip | low >> 1 >> (63 - skip)
        if behind:
            high = high << SORTED_BITS | low << skip >> PLACE_BITS
        room.numbers[at] = high >> PLACE_BITS << PLACE_BITS | at
    sorted = merge_sort(room.numbers, room.scratch, count)
    target[0] = items[sorted[0] & PLACE_MASK]
    for at in range(1, count):
        target[at] = items[sorted[at] & PLACE_MASK]
        equal += (sorted[at] ^ sorted[at - 1]) >> PLACE_BITS == 0
    return equal


cdef inline uint32_t count_equals(const BufferItem* items, uint32_t count) noexcept nogil:
    """How many have the same numbers as the one before them."""
    cdef uint32_t equal = 0
    cdef uint32_t at
    for at in range(1, count):
        equal += numbers_equal(&items[at - 1], &items[at])
    return equal


cdef bint items_sort(const Arena* entries, BufferItem* items, BufferItem* target, uint32_t count) noexcept nogil:
    cdef Sorting room
    cdef uint32_t skip = shared_bits(items, count)
    cdef uint32_t equal = sort_by(&room, items, count, skip, False, target)
    cdef BufferItem moving
    cdef uint32_t at, hole
    if equal > count // EQUAL_SHARE:
        sort_by(&room, target, count, skip, True, items)
        sort_by(&room, items, count, skip, False, target)
        equal = count_equals(target, count)
        if equal > count // EQUAL_SHARE:
            return False
    if equal == 0:
        return True
    for at in range(1, count):                     # by insertion: they are few
        moving = target[at]
        hole = at
        while hole and item_before(entries, &moving, &target[hole - 1]):
            target[hole] = target[hole - 1]
            hole -= 1
        target[hole] = moving
    return True
