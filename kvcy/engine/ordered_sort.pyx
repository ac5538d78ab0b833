# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sorting the items of an ordered index's buffer: see ordered_sort.pxd.

What is sorted are not the items but numbers of eight bytes: the first 55 bits in which their words differ, and behind
them where the item is. So an item is moved once, and equal bits keep their order. Where many are equal, the bits behind
are sorted first, which leaves equal only what has equal numbers. The rest is a matter of neighbours.
"""
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy, memset

cdef enum:
    SORT_BLOCK = 8
    EQUAL_SHARE = 8                # of the items: more equal ones are too many
    RADIX_SHARE = 4                # of the numbers: more with equal first bits are too many
    PLACE_BITS = 9                 # of BUFFER_BUCKET_ITEMS_MAX
    PLACE_MASK = 511
    SORTED_BITS = 55               # what is left of 64


cdef void numbers_merge(const uint64_t* left, uint32_t left_count, const uint64_t* right, uint32_t right_count,
                        uint64_t* target) noexcept nogil:
    """In as many steps from each end as the shorter run has numbers: none of them can run out. Of what lies between
    them then the same again. No branch depends on the numbers; from both ends at a time, since either chain waits for
    what it has loaded."""
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
            numbers_merge(source + at, middle - at, source + middle, min(middle + width, count) - middle, target + at)
            at += 2 * width
        other = source
        source = target
        target = other
        width *= 2
    return source


cdef struct Sorting:                               # room for BUFFER_BUCKET_ITEMS_MAX
    uint64_t[512] numbers
    uint64_t[512] scratch


cdef struct Squeeze:                               # how bits that differ are brought together, by halving distances
    uint64_t mask
    uint64_t[6] moves                              # which bits move by 1, 2, 4 .. places
    uint32_t bits                                  # how many differ


cdef void squeeze_init(Squeeze* squeeze, uint64_t mask) noexcept nogil:
    cdef uint64_t behind = ~mask << 1              # bits of `mask` with an odd number of others' zeros behind them move
    cdef uint64_t odd, move
    cdef uint64_t left = mask
    cdef uint32_t step
    squeeze.mask = mask
    squeeze.bits = 0
    for step in range(6):
        odd = behind ^ behind << 1
        odd ^= odd << 2
        odd ^= odd << 4
        odd ^= odd << 8
        odd ^= odd << 16
        odd ^= odd << 32
        move = odd & left
        squeeze.moves[step] = move
        left = left ^ move | move >> (1 << step)
        behind &= ~odd
    while left:
        squeeze.bits += 1
        left >>= 1


cdef inline uint64_t squeezed(const Squeeze* squeeze, uint64_t word) noexcept nogil:
    """The bits of the mask, and no others, at the upper end."""
    cdef uint64_t move
    cdef uint32_t step
    word &= squeeze.mask
    for step in range(6):
        move = word & squeeze.moves[step]
        word = word ^ move | move >> (1 << step)
    return word << (64 - squeeze.bits)


cdef inline uint64_t differing(const BufferItem* items, uint32_t count) noexcept nogil:
    """The bits that are not the same in all words, and the last."""
    cdef uint64_t bits = 1
    cdef uint32_t at
    for at in range(1, count):
        bits |= items[at].word ^ items[0].word
    return bits


cdef bint radix_sort(uint64_t* numbers, uint64_t* scratch, uint32_t count) noexcept nogil:
    """Sorts by the upper 16 bits, then the rest by insertion. False: too many have the same for that."""
    cdef uint16_t[256] low, high
    cdef uint32_t equal = 0
    cdef uint32_t at, place, hole
    cdef uint32_t low_sum = 0
    cdef uint32_t high_sum = 0
    cdef uint64_t moving
    memset(low, 0, sizeof(low))
    memset(high, 0, sizeof(high))
    for at in range(count):
        low[numbers[at] >> 48 & 255] += 1
        high[numbers[at] >> 56] += 1
    for at in range(256):
        place = low[at]
        low[at] = <uint16_t> low_sum
        low_sum += place
        place = high[at]
        high[at] = <uint16_t> high_sum
        high_sum += place
    for at in range(count):
        place = numbers[at] >> 48 & 255
        scratch[low[place]] = numbers[at]
        low[place] += 1
    for at in range(count):
        place = <uint32_t> (scratch[at] >> 56)
        numbers[high[place]] = scratch[at]
        high[place] += 1
    for at in range(1, count):
        equal += (numbers[at] ^ numbers[at - 1]) >> 48 == 0
    if equal > count // RADIX_SHARE:
        return False
    for at in range(1, count):
        moving = numbers[at]
        hole = at
        while hole and moving < numbers[hole - 1]:
            numbers[hole] = numbers[hole - 1]
            hole -= 1
        numbers[hole] = moving
    return True


cdef uint32_t sort_numbers(Sorting* room, const BufferItem* items, uint32_t count, BufferItem* target) noexcept nogil:
    """Sorts the items as room.numbers tells; how many have the same number as the one before them."""
    cdef const uint64_t* sorted = room.numbers
    cdef uint32_t equal = 0
    cdef uint32_t at
    if not radix_sort(room.numbers, room.scratch, count):
        sorted = merge_sort(room.numbers, room.scratch, count)
    target[0] = items[sorted[0] & PLACE_MASK]
    for at in range(1, count):
        target[at] = items[sorted[at] & PLACE_MASK]
        equal += (sorted[at] ^ sorted[at - 1]) >> PLACE_BITS == 0
    return equal


cdef uint32_t sort_by_words(Sorting* room, const BufferItem* items, uint32_t count, BufferItem* target) noexcept nogil:
    """By the first SORTED_BITS in which words differ."""
    cdef Squeeze squeeze
    cdef uint32_t at
    squeeze_init(&squeeze, differing(items, count))
    for at in range(count):
        room.numbers[at] = squeezed(&squeeze, items[at].word) >> PLACE_BITS << PLACE_BITS | at
    return sort_numbers(room, items, count, target)


cdef void sort_by_rest(Sorting* room, const BufferItem* items, uint32_t count, BufferItem* target) noexcept nogil:
    """By the last SORTED_BITS of both numbers."""
    cdef uint32_t at
    for at in range(count):
        room.numbers[at] = (items[at].word << 32 | items[at].more) << PLACE_BITS | at
    sort_numbers(room, items, count, target)


cdef inline uint32_t count_equals(const BufferItem* items, uint32_t count) noexcept nogil:
    """How many have the same numbers as the one before them."""
    cdef uint32_t equal = 0
    cdef uint32_t at
    for at in range(1, count):
        equal += numbers_equal(&items[at - 1], &items[at])
    return equal


cdef bint items_sort(const Arena* entries, BufferItem* items, BufferItem* target, uint32_t count) noexcept nogil:
    cdef Sorting room
    cdef uint32_t equal = sort_by_words(&room, items, count, target)
    cdef BufferItem moving
    cdef uint32_t at, hole
    if equal > count // EQUAL_SHARE:
        sort_by_rest(&room, target, count, items)
        sort_by_words(&room, items, count, target)
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
