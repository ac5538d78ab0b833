# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sorting the items of an ordered index's buffer: see ordered_sort.pxd.

A merge sort without branches that depend on the items. Each merge goes on from both ends at a time, since either of
its two chains waits for what it has loaded. First only words are compared; where many of them are equal, all again by
both numbers. The rest is a matter of neighbours.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cdef enum:
    SORT_BLOCK = 8
    EQUAL_SHARE = 8                # of the items: more equal ones are too many


cdef inline bint goes_before(const BufferItem* first, const BufferItem* second, bint whole) noexcept nogil:
    return numbers_before(first, second) if whole else first.word < second.word


cdef inline void merge_pair(const BufferItem* left, uint32_t left_count, const BufferItem* right, uint32_t right_count,
                            BufferItem* target, bint whole) noexcept nogil:
    """Merges two runs, in as many steps from each end as the shorter one has items: none of them can run out. Of what
    lies between them then the same again."""
    cdef BufferItem* target_last = target + left_count + right_count - 1
    cdef const BufferItem* left_last = left + left_count - 1
    cdef const BufferItem* right_last = right + right_count - 1
    cdef int64_t steps
    cdef size_t take
    while True:                                    # ends: one of them has been used up
        steps = min(left_last - left, right_last - right) + 1
        if steps <= 0:
            break
        while steps:
            take = goes_before(right, left, whole)
            target[0] = (left + take * <size_t> (right - left))[0]
            right += take
            left += 1 - take
            target += 1
            take = goes_before(right_last, left_last, whole)
            target_last[0] = (right_last + take * <size_t> (left_last - right_last))[0]
            left_last -= take
            right_last -= 1 - take
            target_last -= 1
            steps -= 1
    if right > right_last:
        right = left
    memcpy(target, right, (target_last + 1 - target) * sizeof(BufferItem))


cdef void items_merge(const BufferItem* left, uint32_t left_count, const BufferItem* right, uint32_t right_count,
                      BufferItem* target) noexcept nogil:
    merge_pair(left, left_count, right, right_count, target, False)


cdef inline void sort_block(const BufferItem* items, uint32_t count, BufferItem* target, bint whole) noexcept nogil:
    """Sorts up to SORT_BLOCK items: each goes where as many are before it."""
    cdef uint32_t[8] rank                          # SORT_BLOCK
    cdef uint32_t at, other, before
    for at in range(count):
        rank[at] = 0
        for other in range(at):
            before = goes_before(&items[at], &items[other], whole)
            rank[other] += before
            rank[at] += 1 - before
    for at in range(count):
        target[rank[at]] = items[at]


cdef inline BufferItem* merge_sort(BufferItem* items, BufferItem* scratch, uint32_t count, bint whole) noexcept nogil:
    """Sorts by words, or by the whole numbers; which of the two arrays has them then."""
    cdef BufferItem* source = scratch
    cdef BufferItem* target = items
    cdef BufferItem* other
    cdef uint32_t width = SORT_BLOCK
    cdef uint32_t at, middle
    for at in range(count // SORT_BLOCK):
        sort_block(items + at * SORT_BLOCK, SORT_BLOCK, scratch + at * SORT_BLOCK, whole)
    at = count // SORT_BLOCK * SORT_BLOCK
    sort_block(items + at, count - at, scratch + at, whole)
    while width < count:
        at = 0
        while at < count:
            middle = min(at + width, count)
            merge_pair(source + at, middle - at, source + middle, min(middle + width, count) - middle, target + at,
                       whole)
            at += 2 * width
        other = source
        source = target
        target = other
        width *= 2
    return source


cdef uint32_t count_equals(const BufferItem* items, uint32_t count, bint whole) noexcept nogil:
    """How many are as the one before them."""
    cdef uint32_t equal = 0
    cdef uint32_t at
    for at in range(1, count):
        equal += items[at - 1].word == items[at].word and (not whole or items[at - 1].more == items[at].more)
    return equal


cdef BufferItem* items_sort(const Arena* entries, BufferItem* items, BufferItem* scratch,
                            uint32_t count) noexcept nogil:
    cdef BufferItem* sorted = merge_sort(items, scratch, count, False)
    cdef uint32_t equal = count_equals(sorted, count, False)
    cdef BufferItem moving
    cdef uint32_t at, hole
    if equal > count // EQUAL_SHARE:
        sorted = merge_sort(sorted, scratch if sorted == items else items, count, True)
        equal = count_equals(sorted, count, True)
        if equal > count // EQUAL_SHARE:
            if sorted != items:
                memcpy(items, sorted, count * sizeof(BufferItem))
            return NULL
    if equal == 0:
        return sorted
    for at in range(1, count):                     # by insertion: they are few
        moving = sorted[at]
        hole = at
        while hole and moving.word == sorted[hole - 1].word and item_before(entries, &moving, &sorted[hole - 1]):
            sorted[hole] = sorted[hole - 1]
            hole -= 1
        sorted[hole] = moving
    return sorted
