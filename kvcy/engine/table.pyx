# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The hash table. See table.pxd.

Sizes. TABLE_HOMES_MIN homes at first; doubled up to DOUBLED_BELOW, then a quarter more each time, so that a key costs
8 / (7/8) to 8 / 0.70 bytes. When less than a quarter of the homes is used, it shrinks to twice the count. The tail is
an eighth of the homes, at most TAIL_MAX: at 7/8 the overflow passes n slots with a probability of about e^(-n/4).
Should it do so all the same (equal bits without end), the array is copied with a longer tail.

Growth in slices. The old array becomes `old`, the new one `main`, and every reserve and remove moves SLICE_SLOTS slots
from the front of `old` to `main`: 1/64 of a table's size in insertions ends it, long before `main` is full. Order makes
this simple: what moves has larger bits than all in `main`, so it is put down at the first empty slot from its home on.
Slots that have been moved stay as they are in `old` before `first`; nobody looks at them but readers without a lock.

`count_max` is what table_reserve looks at: 7/8 of the homes, or 0 as soon as an insertion has used the last but one
slot of the array (the last must stay empty), until table_make_room has given it a longer tail.

A replaced array is retired (quiet.pxd): its note lies in front of its slots, so that this needs no memory.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.memory cimport (
    memory_array_free, memory_array_new, memory_array_populate, memory_array_set_leaving)
from kvcy.engine.platform cimport invariant, store_relaxed_u32, store_relaxed_u64
from kvcy.engine.quiet cimport Retired, quiet_retire_array, quiet_retire_noted

cdef enum:
    TABLE_HOMES_MIN = 8
    DOUBLED_BELOW = 256
    TAIL_MIN = 8
    TAIL_MAX = 128
    SLICE_SLOTS = 64
    ARRAY_BYTES_LIGHT = 1 << 20      # unmapping more than that is left to quiet_reclaim
    ARRAY_HEADER_BYTES = sizeof(Retired) + sizeof(Slot)

cdef extern from *:
    """
    #define KVCY_BOUNDARY_NONE  ((uint64_t) 1 << 32)
    #define KVCY_HOMES_MAX      0xF0000000u
    """
    const uint64_t BOUNDARY_NONE "KVCY_BOUNDARY_NONE"
    const uint32_t HOMES_MAX "KVCY_HOMES_MAX"


# --- arrays

cdef inline uint64_t home_of(uint64_t bits, uint64_t homes) noexcept nogil:
    return (bits * homes) >> 32


cdef inline uint32_t slots_total(const Slots* slots) noexcept nogil:
    return slots.homes + slots.tail


cdef inline uint32_t tail_for(uint32_t homes) noexcept nogil:
    return TAIL_MIN + (homes >> 3) if homes >> 3 < TAIL_MAX - TAIL_MIN else TAIL_MAX


cdef inline size_t array_bytes(uint64_t total) noexcept nogil:
    return ARRAY_HEADER_BYTES + (total + TABLE_STEP) * sizeof(Slot)


cdef inline void set_count(Slots* slots, uint32_t count) noexcept nogil:
    store_relaxed_u32(&slots.count, count)


cdef bint slots_new(Slots* slots, uint64_t homes, uint64_t tail) noexcept nogil:
    """Makes an empty array; false when there is no memory: then `slots` is as it was."""
    cdef char* memory
    cdef Slot* at
    invariant(homes >= TABLE_HOMES_MIN and tail >= 2)
    if homes + tail > HOMES_MAX:
        return False
    memory = <char*> memory_array_new(array_bytes(homes + tail))
    if memory == NULL:
        return False
    at = <Slot*> (memory + ARRAY_HEADER_BYTES)
    (at - 1).bits = <uint32_t> homes
    slots.at = at
    slots.homes = <uint32_t> homes
    slots.tail = <uint32_t> tail
    slots.count = 0
    slots.first = 0
    slots.count_max = <uint32_t> (homes - (homes >> 3))
    return True


cdef void free_array(void* memory, void* total) noexcept nogil:
    memory_array_set_leaving(array_bytes(<size_t> total), False)
    memory_array_free(memory, array_bytes(<size_t> total))


cdef void slots_retire(const Slots* slots) noexcept nogil:
    """REQUIRES: the table does not point to the array any more."""
    cdef Retired* note
    if slots.at == NULL:
        return
    note = <Retired*> (<char*> slots.at - ARRAY_HEADER_BYTES)
    memory_array_set_leaving(array_bytes(slots_total(slots)), True)
    if array_bytes(slots_total(slots)) > ARRAY_BYTES_LIGHT:
        quiet_retire_noted(note, note, free_array, <void*> <size_t> slots_total(slots))
        return
    quiet_retire_array(note, note, free_array, <void*> <size_t> slots_total(slots))


cdef void slots_publish(Slots* place, const Slots* slots) noexcept nogil:
    """Sets a table's `main` or `old`: the array last, since readers without a lock follow it."""
    place.homes = slots.homes
    place.tail = slots.tail
    set_count(place, slots.count)
    place.first = slots.first
    place.count_max = slots.count_max
    store_slots(&place.at, slots.at)


cdef uint64_t tail_needed(const Slots* slots, uint64_t homes) noexcept nogil:
    """How many slots behind `homes` homes the entries of `slots` would use."""
    cdef uint64_t next = 0               # the first slot that is free
    cdef uint64_t home, word
    cdef uint32_t i
    for i in range(slots.first, slots_total(slots)):
        word = slot_load(slots.at + i)
        if word != 0:
            home = home_of(word >> 32, homes)
            next = (home if home > next else next) + 1
    return next - homes if next > homes else 0


cdef bint slots_resize(Slots* slots, uint64_t homes, uint64_t tail_more) noexcept nogil:
    """Copies the entries to a new array with `homes` homes and `tail_more` free slots at least in its tail, and retires
    the old one. False when there is no memory: then nothing has changed."""
    cdef Slots replaced = slots[0]
    cdef Slots bigger
    cdef uint64_t tail = tail_for(<uint32_t> homes)
    cdef uint64_t word
    cdef uint32_t i
    cdef Slot* slot = NULL
    if slots.at != NULL and tail_needed(slots, homes) + tail_more > tail:
        tail = tail_needed(slots, homes) + tail_more
    if not slots_new(&bigger, homes, tail):
        return False
    memory_array_populate(<char*> bigger.at - ARRAY_HEADER_BYTES, array_bytes(slots_total(&bigger)))
    if slots.at != NULL:
        for i in range(slots.first, slots_total(slots)):
            word = slot_load(slots.at + i)
            if word != 0:
                slot = slots_append(&bigger, slot, word)
                invariant(slot != NULL)
        invariant(bigger.count == slots.count)
    slots_publish(slots, &bigger)
    slots_retire(&replaced)
    return True


cdef void slots_insert(Slots* slots, uint32_t bits, uint32_t handle) noexcept nogil:
    """REQUIRES: the last slot but one is empty."""
    cdef uint64_t wanted = <uint64_t> bits << 32
    cdef uint64_t carried = wanted | handle
    cdef uint64_t place = home_of(bits, slots.homes)
    cdef uint64_t word
    cdef Slot* slot
    slot = slots_search(slots.at + (place if place >= slots.first else slots.first), wanted)
    word = slot_load(slot)
    slot_store(slot, carried)
    while word != 0:                     # ends: there is an empty slot before the last
        slot += 1
        carried = word
        word = slot_load(slot)
        slot_store(slot, carried)
    set_count(slots, slots.count + 1)
    invariant(slot < slots.at + slots_total(slots) - 1)
    if slot == slots.at + slots_total(slots) - 2:
        slots.count_max = 0


cdef void slots_remove(Slots* slots, Slot* slot) noexcept nogil:
    cdef uint64_t place = slot - slots.at
    cdef uint64_t word
    invariant(slots.count > 0 and slot.handle != 0)
    invariant(place >= slots.first and place < slots_total(slots) - 1)
    while True:                          # ends: the last slot is empty
        word = slot_load(slots.at + place + 1)
        if word == 0 or home_of(word >> 32, slots.homes) > place:
            break
        slot_store(slots.at + place, word)
        place += 1
    slot_store(slots.at + place, 0)
    set_count(slots, slots.count - 1)


# --- growth

cdef void finish_move(Table* table) noexcept nogil:
    """`old` is empty."""
    cdef Slots old = table.old
    invariant(old.count == 0)
    store_relaxed_u64(&table.boundary, BOUNDARY_NONE)
    store_slots(&table.old.at, NULL)
    table.old.homes = 0
    table.old.tail = 0
    table.old.first = 0
    table.old.count_max = 0
    slots_retire(&old)


cdef bint move_slice(Table* table, uint64_t limit) noexcept nogil:
    """Moves `limit` slots, and the equals of the last one, from `old` to `main`. False when there is no memory."""
    cdef Slots* old = &table.old
    cdef uint64_t total = slots_total(old)
    cdef uint64_t place = old.first
    cdef uint64_t end = place + limit
    cdef uint64_t boundary = table.boundary
    cdef uint64_t word
    cdef bint enough = True
    invariant(old.at != NULL)
    while place < total and old.count != 0:
        word = slot_load(old.at + place)
        if place >= end and (word >> 32) + 1 != boundary:
            break
        if word != 0:
            invariant((word >> 32) + 1 >= boundary)
            if slots_append(&table.main, NULL, word) == NULL:
                # An overflow beyond main's tail; the equals that were moved already must not be parted from the rest.
                if not slots_resize(&table.main, table.main.homes, table.main.tail):
                    enough = False
                    break
                slots_append(&table.main, NULL, word)
            set_count(old, old.count - 1)
            boundary = (word >> 32) + 1
        place += 1
    old.first = <uint32_t> place
    store_relaxed_u64(&table.boundary, boundary)
    if old.count == 0:
        finish_move(table)
    return enough


cdef bint resize(Table* table, uint64_t homes) noexcept nogil:
    """Gives the table that many homes: at once, or in slices when it is large. REQUIRES: no growth is under way."""
    cdef Slots bigger
    cdef uint64_t tail = tail_for(<uint32_t> homes)
    invariant(table.old.at == NULL and table.boundary == BOUNDARY_NONE)
    if homes > HOMES_MAX:
        return False
    if table.main.at == NULL or slots_total(&table.main) <= table.sliced_above:
        return slots_resize(&table.main, homes, 2)
    if table.main.tail + 2 > tail:
        tail = <uint64_t> table.main.tail + 2
    if not slots_new(&bigger, homes, tail):
        return False
    slots_publish(&table.old, &table.main)
    store_relaxed_u64(&table.boundary, 0)
    slots_publish(&table.main, &bigger)
    return True


cdef inline uint64_t bigger_homes(uint64_t homes) noexcept nogil:
    if homes < TABLE_HOMES_MIN:
        return TABLE_HOMES_MIN
    return homes * 2 if homes < DOUBLED_BELOW else homes + homes // 4


cdef bint make_tail(Slots* slots) noexcept nogil:
    """Sees to it that the last but one slot is empty."""
    if slots.count_max != 0:
        return True
    if slots.at[slots_total(slots) - 2].handle != 0:
        return slots_resize(slots, slots.homes, <uint64_t> slots.tail + 2)
    slots.count_max = slots.homes - (slots.homes >> 3)
    return True


cdef bint table_make_room(Table* table) noexcept nogil:
    if table.old.at != NULL:
        if not move_slice(table, SLICE_SLOTS):
            return False
        if table.old.at != NULL and not make_tail(&table.old):
            return False
    if table_count(table) >= table.main.homes - (table.main.homes >> 3):
        if table.old.at != NULL and not move_slice(table, slots_total(&table.old)):
            return False
        if not resize(table, bigger_homes(table.main.homes)):
            return False
        if table.old.at != NULL and not make_tail(&table.old):
            return False
    return make_tail(&table.main)


cdef bint table_migrate(Table* table, uint32_t slots) noexcept nogil:
    if table.old.at == NULL:
        return False
    return move_slice(table, slots) and table.old.at != NULL


cdef bint table_reserve_all(Table* table, uint64_t count) noexcept nogil:
    cdef uint64_t homes = count + count // 7 + 1
    if table.old.at != NULL and not move_slice(table, slots_total(&table.old)):
        return False
    if homes < TABLE_HOMES_MIN:
        homes = TABLE_HOMES_MIN
    if homes > HOMES_MAX:
        return False
    if homes > table.main.homes and not slots_resize(&table.main, homes, 2):
        return False
    return make_tail(&table.main)


cdef void table_trim(Table* table) noexcept nogil:
    cdef uint64_t homes = table.main.count + table.main.count // 4
    if table.old.at == NULL and homes >= DOUBLED_BELOW and table.main.homes > homes + homes // 4:
        slots_resize(&table.main, homes, 2)


# --- the table

cdef void table_init(Table* table) noexcept nogil:
    cdef Slots none
    none.at = NULL
    none.homes = 0
    none.tail = 0
    none.count = 0
    none.first = 0
    none.count_max = 0
    slots_publish(&table.main, &none)
    slots_publish(&table.old, &none)
    store_relaxed_u64(&table.boundary, BOUNDARY_NONE)
    table.sliced_above = TABLE_SLICED_ABOVE


cdef void table_close(Table* table) noexcept nogil:
    cdef uint32_t sliced_above = table.sliced_above
    if table.main.at != NULL:
        memory_array_free(<char*> table.main.at - ARRAY_HEADER_BYTES, array_bytes(slots_total(&table.main)))
    if table.old.at != NULL:
        memory_array_free(<char*> table.old.at - ARRAY_HEADER_BYTES, array_bytes(slots_total(&table.old)))
    table_init(table)
    table.sliced_above = sliced_above


cdef uint64_t table_bytes(const Table* table) noexcept nogil:
    cdef uint64_t size = 0
    if table.main.at != NULL:
        size += array_bytes(slots_total(&table.main))
    if table.old.at != NULL:
        size += array_bytes(slots_total(&table.old))
    return size


cdef void table_insert(Table* table, uint32_t bits, uint32_t handle) noexcept nogil:
    invariant(handle != 0)
    invariant(table.main.at != NULL)
    slots_insert(&table.main if bits < table.boundary else &table.old, bits, handle)


cdef inline bint in_main(const Table* table, const Slot* slot) noexcept nogil:
    return slot >= table.main.at and slot < table.main.at + slots_total(&table.main)


cdef void table_remove(Table* table, Slot* slot) noexcept nogil:
    cdef uint64_t homes
    slots_remove(&table.main if in_main(table, slot) else &table.old, slot)
    if table.old.at != NULL:
        move_slice(table, SLICE_SLOTS)   # without memory: later
    elif table.main.count < table.main.homes >> 2 and table.main.homes > TABLE_HOMES_MIN:
        homes = <uint64_t> table.main.count * 2
        resize(table, homes if homes > TABLE_HOMES_MIN else TABLE_HOMES_MIN)


cdef Slot* used_from(const Slots* slots, uint64_t place, uint64_t end_home) noexcept nogil:
    """The first used slot at `place` or behind it; NULL when there is none. Homes of `end_home` and more are unused."""
    cdef uint64_t total = slots_total(slots)
    while place < total:
        if slots.at[place].handle != 0:
            return slots.at + place
        if place >= end_home:
            return NULL
        place += 1
    return NULL


cdef inline uint64_t end_home_of(const Table* table) noexcept nogil:
    """The first home in `main` that lies beyond the boundary."""
    return home_of(table.boundary, table.main.homes) + 1


cdef Slot* table_from(const Table* table, uint64_t bits) noexcept nogil:
    cdef Slot* slot
    cdef uint64_t place
    if table.main.at == NULL or bits >= BOUNDARY_NONE:
        return NULL
    if bits < table.boundary:
        slot = used_from(&table.main, home_of(bits, table.main.homes), end_home_of(table))
        while slot != NULL and slot.bits < bits:
            slot = used_from(&table.main, slot - table.main.at + 1, end_home_of(table))
        if slot != NULL:
            return slot
    if table.old.at == NULL:
        return NULL
    place = home_of(bits, table.old.homes)
    slot = used_from(&table.old, place if place > table.old.first else table.old.first, table.old.homes)
    while slot != NULL and slot.bits < bits:
        slot = used_from(&table.old, slot - table.old.at + 1, table.old.homes)
    return slot


cdef Slot* table_next(const Table* table, const Slot* slot) noexcept nogil:
    cdef Slot* next
    invariant(slot.handle != 0)
    if in_main(table, slot):
        next = used_from(&table.main, slot - table.main.at + 1, end_home_of(table))
        if next != NULL or table.old.at == NULL:
            return next
        return used_from(&table.old, table.old.first, table.old.homes)
    return used_from(&table.old, slot - table.old.at + 1, table.old.homes)


cdef Slot* table_pick(const Table* table, uint64_t random) noexcept nogil:
    cdef uint64_t in_main = table.main.homes + table.main.tail if table.main.at != NULL else 0
    cdef uint64_t in_old = table.old.homes + table.old.tail - table.old.first if table.old.at != NULL else 0
    cdef uint64_t place = ((random >> 32) * (in_main + in_old)) >> 32
    if in_main + in_old == 0:
        return NULL
    return table.main.at + place if place < in_main else table.old.at + table.old.first + (place - in_main)
