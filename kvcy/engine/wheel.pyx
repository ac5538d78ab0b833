# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The hierarchical timing wheel: see wheel.pxd.

A slot of level L has a number, tick >> 6L, of which the low 6 bits are its place in the level. At any time the entries
of a level lie in the 64 slots numbered behind base >> 6L, so no two numbers share a place. An entry newly placed in
level L is at least 64^L and less than 64^(L+1) ticks ahead of the base; its slot is collected when the base enters it.
"""
from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport Entry, EntryExpiry, entry_expiry
from kvcy.engine.memory cimport memory_free, memory_new_lines
from kvcy.engine.platform cimport invariant, prefetch

cdef enum:                       # lists besides the slots
    DUE = 448                    # WHEEL_LEVELS * 64
    SPREAD
    FAR                          # beyond level 6

cdef enum:
    SLOT_BITS = 6
    SLOT_MASK = 63
    HANDLE_MIN = 8192            # smaller links are numbers of lists
    FAR_SHIFT = 41               # FAR is collected whenever the base passes a multiple of 2^41: half of level 6's reach

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t) nogil


cdef Wheel* wheel_new() noexcept nogil:
    return <Wheel*> memory_new_lines(sizeof(Wheel))


cdef void wheel_free(Wheel* wheel) noexcept nogil:
    memory_free(wheel)


cdef inline int64_t due_tick(int64_t expire_ms) noexcept nogil:
    """The first tick at which the entry is due."""
    return (expire_ms >> WHEEL_TICK_SHIFT) + (1 if expire_ms & ((1 << WHEEL_TICK_SHIFT) - 1) else 0)


cdef inline EntryExpiry* expiry_at(const Arena* arena, uint32_t handle) noexcept nogil:
    return entry_expiry(<Entry*> arena_at(arena, handle))


# --- lists

cdef void list_append(Wheel* wheel, Arena* arena, uint32_t list, uint32_t handle) noexcept nogil:
    cdef EntryExpiry* expiry = expiry_at(arena, handle)
    cdef uint32_t last = wheel.lists[list].last
    invariant(handle >= HANDLE_MIN and list < WHEEL_LISTS)
    expiry.next = list
    if last != 0:
        expiry.previous = last
        expiry_at(arena, last).next = handle
    else:
        expiry.previous = list
        wheel.lists[list].first = handle
        if list < DUE:
            wheel.occupied[list >> SLOT_BITS] |= <uint64_t> 1 << (list & SLOT_MASK)
    wheel.lists[list].last = handle


cdef void list_unlink(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil:
    cdef EntryExpiry* expiry = expiry_at(arena, handle)
    cdef uint32_t previous = expiry.previous
    cdef uint32_t next = expiry.next
    if previous >= HANDLE_MIN:
        expiry_at(arena, previous).next = next
    else:
        invariant(wheel.lists[previous].first == handle)
        wheel.lists[previous].first = next if next >= HANDLE_MIN else 0
    if next >= HANDLE_MIN:
        expiry_at(arena, next).previous = previous
    else:
        invariant(wheel.lists[next].last == handle)
        wheel.lists[next].last = previous if previous >= HANDLE_MIN else 0
        if previous < HANDLE_MIN and next < DUE:
            wheel.occupied[next >> SLOT_BITS] &= ~(<uint64_t> 1 << (next & SLOT_MASK))


cdef void list_collect(Wheel* wheel, Arena* arena, uint32_t source, uint32_t target) noexcept nogil:
    """Hangs the whole list `source` behind `target`."""
    cdef WheelList moved = wheel.lists[source]
    cdef WheelList* to = &wheel.lists[target]
    if moved.first == 0:
        return
    invariant(source != target)
    if to.last != 0:
        expiry_at(arena, to.last).next = moved.first
        expiry_at(arena, moved.first).previous = to.last
    else:
        to.first = moved.first
        expiry_at(arena, moved.first).previous = target
    to.last = moved.last
    expiry_at(arena, moved.last).next = target
    wheel.lists[source].first = 0
    wheel.lists[source].last = 0
    if source < DUE:
        wheel.occupied[source >> SLOT_BITS] &= ~(<uint64_t> 1 << (source & SLOT_MASK))


# --- entries

cdef void place(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil:
    """Appends the entry to the list it belongs to; what is due already goes into the next slot to be collected."""
    cdef int64_t tick = max(due_tick(expiry_at(arena, handle).expire_ms), wheel.base + 1)
    cdef uint64_t ahead = <uint64_t> (tick - wheel.base)
    cdef uint32_t level = 0
    while level < WHEEL_LEVELS and ahead >> (SLOT_BITS * (level + 1)) != 0:
        level += 1
    if level == WHEEL_LEVELS:
        list_append(wheel, arena, FAR, handle)
    else:
        list_append(wheel, arena, level << SLOT_BITS | <uint32_t> (tick >> (SLOT_BITS * level)) & SLOT_MASK, handle)


cdef void wheel_add(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil:
    place(wheel, arena, handle)
    wheel.count += 1


cdef void wheel_remove(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil:
    invariant(wheel.count > 0)
    list_unlink(wheel, arena, handle)
    wheel.count -= 1


cdef void wheel_changed(Wheel* wheel, Arena* arena, uint32_t handle, int64_t old_ms) noexcept nogil:
    if expiry_at(arena, handle).expire_ms < old_ms:
        list_unlink(wheel, arena, handle)
        place(wheel, arena, handle)


cdef void wheel_moved(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil:
    cdef EntryExpiry* expiry = expiry_at(arena, handle)
    if expiry.previous >= HANDLE_MIN:
        expiry_at(arena, expiry.previous).next = handle
    else:
        wheel.lists[expiry.previous].first = handle
    if expiry.next >= HANDLE_MIN:
        expiry_at(arena, expiry.next).previous = handle
    else:
        wheel.lists[expiry.next].last = handle


# --- time

cdef inline int64_t early_ticks(int level) noexcept nogil:
    """By how much a slot of the level is collected before it begins: an eighth of its width; 0 at level 0."""
    return (<int64_t> 1 << (SLOT_BITS * level)) >> 3


cdef void collect_between(Wheel* wheel, Arena* arena, int level, int64_t first, int64_t last) noexcept nogil:
    """Collects the slots of a level with the numbers behind `first`, up to `last`."""
    cdef uint32_t target = SPREAD if level else DUE
    first = max(first, last - 64)
    while first < last and wheel.occupied[level] != 0:
        first += 1
        list_collect(wheel, arena, <uint32_t> level << SLOT_BITS | <uint32_t> first & SLOT_MASK, target)


cdef void wheel_advance(Wheel* wheel, Arena* arena, int64_t now_ms) noexcept nogil:
    cdef int64_t now = now_ms >> WHEEL_TICK_SHIFT
    cdef int64_t base = wheel.base
    cdef uint32_t list
    cdef int level
    cdef int shift
    if now < base - (WHEEL_BACK_MS >> WHEEL_TICK_SHIFT):
        for list in range(<uint32_t> WHEEL_LISTS):
            if list != SPREAD:
                list_collect(wheel, arena, list, SPREAD)
        wheel.base = now
        return
    if now <= base:
        return
    for level in range(WHEEL_LEVELS):
        shift = SLOT_BITS * level
        # Those that have begun, then those that are soon to begin.
        collect_between(wheel, arena, level, base >> shift, now >> shift)
        collect_between(wheel, arena, level, (base + early_ticks(level)) >> shift, (now + early_ticks(level)) >> shift)
    if base >> FAR_SHIFT != now >> FAR_SHIFT:
        list_collect(wheel, arena, FAR, SPREAD)
    wheel.base = now


cdef uint32_t wheel_next(Wheel* wheel, Arena* arena, int64_t now_ms, uint32_t* looks) noexcept nogil:
    cdef EntryExpiry* expiry
    cdef uint32_t handle
    while looks[0]:              # ends: counted down, and what is not due leaves both lists
        handle = wheel.lists[DUE].first
        if handle == 0:
            handle = wheel.lists[SPREAD].first
        if handle == 0:
            return 0
        looks[0] -= 1
        expiry = expiry_at(arena, handle)
        if expiry.next >= HANDLE_MIN:
            prefetch(expiry_at(arena, expiry.next))
        if expiry.expire_ms <= now_ms:
            return handle
        list_unlink(wheel, arena, handle)
        place(wheel, arena, handle)
    return 0


cdef int64_t slot_wake(const Wheel* wheel, int level) noexcept nogil:
    """The tick at which a slot of the level is next to be collected. REQUIRES: one is occupied."""
    cdef int shift = SLOT_BITS * level
    cdef int64_t number = (wheel.base >> shift) + 1
    cdef int turn = <int> (number & SLOT_MASK)
    cdef uint64_t ahead = wheel.occupied[level]
    cdef int64_t begin
    ahead = ahead >> turn | (ahead << (64 - turn) if turn else 0)
    begin = (number + lowest_bit(ahead)) << shift
    if begin - early_ticks(level) > wheel.base:
        return begin - early_ticks(level)
    return begin


cdef int64_t wheel_wake_ms(const Wheel* wheel, int64_t now_ms) noexcept nogil:
    cdef int64_t tick = WHEEL_NEVER >> WHEEL_TICK_SHIFT
    cdef int level
    if wheel.count == 0:
        return WHEEL_NEVER
    if wheel.lists[DUE].first != 0 or wheel.lists[SPREAD].first != 0 or \
            (now_ms >> WHEEL_TICK_SHIFT) < wheel.base - (WHEEL_BACK_MS >> WHEEL_TICK_SHIFT):
        return now_ms
    for level in range(WHEEL_LEVELS):
        if wheel.occupied[level] != 0:
            tick = min(tick, slot_wake(wheel, level))
    if wheel.lists[FAR].first != 0:
        tick = min(tick, ((wheel.base >> FAR_SHIFT) + 1) << FAR_SHIFT)
    return tick << WHEEL_TICK_SHIFT
