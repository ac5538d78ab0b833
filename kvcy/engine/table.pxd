# cython: language_level=3
"""The open-addressing hash table: 8-byte slots in hash order.

Linear probing, kept sorted: slot i holds an entry whose home is at most i, and the hash bits never fall from one used
slot to the next. The home of bits is (bits * homes) >> 32, so the order does not depend on the size. There is no
wrap-around: behind the homes lies a tail for what overflows. No tombstones: deletion shifts back. Equal bits lie side
by side. At most 7/8 of the homes are used, growth is by a quarter; a table with more than TABLE_SLICED_ABOVE slots
moves in slices: what has bits below `boundary` is in `main`, the rest still in `old`. A search ends because it passes
an empty slot or larger bits: each array ends with at least one empty slot.

    array:  Retired | header | slot 0 | ... | slot homes-1 | tail ... | empty | spare      `at` points to slot 0
    header: homes in place of bits: a reader without a lock gets all that it needs from one pointer
    spare: never used, but looked at, as a search looks at TABLE_STEP slots together

REQUIRES: the shard's lock; exclusively for what takes a Table* that is not const. Only table_hint and
table_hint_handle need no lock. So slots are written atomically (relaxed): table_set_handle, never slot.handle = ...
"""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.engine.platform cimport invariant, likely, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, unlikely

cdef enum:
    TABLE_SLICED_ABOVE = 4096    # copying more at once takes over 100 us where page faults are slow
    TABLE_STEP = 4         # slots that a search looks at together, and spare ones of an array

cdef struct Slot:          # as a 64-bit number it grows with bits, then handle; 0 is the empty slot
    uint32_t handle        # 0: the slot is empty
    uint32_t bits

cdef struct Slots:
    Slot* at               # [homes + tail], atomic; NULL: no array
    uint32_t homes         # number of home slots
    uint32_t tail          # slots behind them, the last of which is always empty
    uint32_t count         # used slots, atomic
    uint32_t first         # slots before this have been moved away (growth in slices)
    uint32_t count_max     # an insertion surely finds room while count is less

cdef struct Table:
    uint64_t boundary      # atomic: bits below it live in main; 1 << 32 when no growth is under way
    Slots main
    Slots old              # being emptied into main; at == NULL when no growth is under way
    uint32_t sliced_above  # TABLE_SLICED_ABOVE; less in tests

cdef extern from *:
    """
    typedef uint64_t __attribute__((may_alias)) kvcy_slot_word;
    #define KVCY_SLOT_LOAD(slot)        __atomic_load_n((const kvcy_slot_word*) (slot), __ATOMIC_RELAXED)
    #define KVCY_SLOT_STORE(slot, word) __atomic_store_n((kvcy_slot_word*) (slot), (word), __ATOMIC_RELAXED)
    #define KVCY_SLOTS_LOAD(place)      __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define KVCY_SLOTS_STORE(place, at) __atomic_store_n((place), (at), __ATOMIC_RELEASE)
    """
    uint64_t slot_load "KVCY_SLOT_LOAD"(const Slot*) nogil
    void slot_store "KVCY_SLOT_STORE"(Slot*, uint64_t) nogil
    Slot* load_slots "KVCY_SLOTS_LOAD"(Slot**) nogil
    void store_slots "KVCY_SLOTS_STORE"(Slot**, Slot*) nogil

cdef void table_init(Table* table) noexcept nogil
# Frees the arrays at once. REQUIRES: nobody else can see the table.
cdef void table_close(Table* table) noexcept nogil
# Bytes of the arrays.
cdef uint64_t table_bytes(const Table* table) noexcept nogil
# As table_reserve, for `count` entries in all: sizes the table before it is filled (at once, not in slices).
cdef bint table_reserve_all(Table* table, uint64_t count) noexcept nogil
# Gives back what table_reserve_all reserved far too much of, at once. Without memory for that: nothing.
cdef void table_trim(Table* table) noexcept nogil
# Adds a slot. REQUIRES: table_reserve said yes since the last insert; handle != 0. Slot pointers become invalid.
cdef void table_insert(Table* table, uint32_t bits, uint32_t handle) noexcept nogil
# Removes the slot; may start a shrink. Slot pointers become invalid.
cdef void table_remove(Table* table, Slot* slot) noexcept nogil
# The first slot with bits >= `bits` (a number up to 1 << 32), in hash order; NULL at the end.
cdef Slot* table_from(const Table* table, uint64_t bits) noexcept nogil
# The used slot after `slot` in hash order; NULL at the end.
cdef Slot* table_next(const Table* table, const Slot* slot) noexcept nogil
# The slot at a place that `random` picks, every place alike: it may be empty, and is not looked at. NULL: no array.
cdef Slot* table_pick(const Table* table, uint64_t random) noexcept nogil
# Moves up to `slots` slots of a growth that is under way; false when none is (any more), or no memory to go on.
cdef bint table_migrate(Table* table, uint32_t slots) noexcept nogil
# The slow path of table_reserve.
cdef bint table_make_room(Table* table) noexcept nogil


cdef inline uint64_t table_count(const Table* table) noexcept nogil:
    """Entries in the table. May be read without a lock: exact at some moment, unless slots are being moved."""
    return <uint64_t> load_relaxed_u32(&table.main.count) + load_relaxed_u32(&table.old.count)


cdef inline uint32_t slots_passed(const Slot* slot, uint64_t wanted) noexcept nogil:
    """How many of these TABLE_STEP slots are used and have smaller bits; they are the first of them. Without a branch:
    how far a search goes is as good as random, and a branch that is foretold wrong costs more than three slots."""
    # An empty slot's 0 - 1 is the largest number.
    return <uint32_t> ((slot_load(slot) - 1 < wanted) + (slot_load(slot + 1) - 1 < wanted)
                       + (slot_load(slot + 2) - 1 < wanted) + (slot_load(slot + 3) - 1 < wanted))


cdef inline Slot* slots_search(Slot* slot, uint64_t wanted) noexcept nogil:
    """The first slot, from this one on, that is empty or has no smaller bits."""
    cdef uint32_t passed = slots_passed(slot, wanted)
    while unlikely(passed == TABLE_STEP):     # ends: an empty slot comes
        slot += TABLE_STEP
        passed = slots_passed(slot, wanted)
    return slot + passed


cdef inline Slot* table_find(const Table* table, uint32_t bits) noexcept nogil:
    """The first slot with exactly these bits, or NULL. Its equals follow it side by side (table_same)."""
    cdef const Slots* slots = &table.main if likely(bits < table.boundary) else &table.old
    cdef uint64_t place = (<uint64_t> bits * slots.homes) >> 32
    cdef Slot* slot
    cdef uint64_t word
    if slots.at == NULL:
        return NULL
    if place < slots.first:
        place = slots.first
    slot = slots_search(slots.at + place, <uint64_t> bits << 32)
    word = slot_load(slot)
    invariant(slot < slots.at + slots.homes + slots.tail)
    return slot if word >> 32 == bits and word != 0 else NULL


cdef inline Slot* table_same(const Slot* slot) noexcept nogil:
    """The next slot with the same bits, or NULL. REQUIRES: slot is used."""
    invariant(slot.handle != 0)
    return <Slot*> (slot + 1) if slot[1].bits == slot.bits and slot[1].handle != 0 else NULL


cdef inline void table_set_handle(Slot* slot, uint32_t handle) noexcept nogil:
    """The entry has moved. REQUIRES: handle != 0."""
    invariant(slot.handle != 0)
    invariant(handle != 0)
    store_relaxed_u32(&slot.handle, handle)


cdef inline bint table_reserve(Table* table) noexcept nogil:
    """Makes sure that the next table_insert cannot fail, growing (a slice) if need be. False: there is no memory."""
    if likely(table.main.count < table.main.count_max and table.old.at == NULL):
        return True
    return table_make_room(table)


cdef inline Slot* slots_append(Slots* slots, Slot* least, uint64_t word) noexcept nogil:
    """Puts a slot behind all others, and at `least` or behind it; NULL: the array ends before it. REQUIRES: its bits
    are not less than theirs."""
    cdef Slot* last = slots.at + slots.homes + slots.tail - 1
    cdef Slot* slot = slots.at + (((word >> 32) * slots.homes) >> 32)
    if slot < least:
        slot = least
    while slot_load(slot) != 0:          # ends: the last slot is empty
        slot += 1
    if slot == last:
        return NULL
    slot_store(slot, word)
    store_relaxed_u32(&slots.count, slots.count + 1)
    if slot == last - 1:
        slots.count_max = 0
    return slot


cdef inline Slot* table_append(Table* table, Slot* before, uint32_t bits, uint32_t handle) noexcept nogil:
    """As table_insert, for bits that are not less than any in the table; NULL (nothing was done): table_reserve first.
    `before`: the slot that the last call answered, where nothing else has happened to the table since, or NULL."""
    if unlikely(table.main.count >= table.main.count_max or table.old.at != NULL):
        return NULL
    return slots_append(&table.main, before + 1 if before != NULL else NULL, <uint64_t> bits << 32 | handle)


cdef inline const Slot* table_hint(const Table* table, uint32_t bits) noexcept nogil:
    """Address of the home slot of `bits`, read without a lock, for prefetching only; may be NULL."""
    cdef Slot* at = NULL
    if bits >= load_relaxed_u64(&table.boundary):
        at = load_slots(<Slot**> &table.old.at)
    if at == NULL:
        at = load_slots(<Slot**> &table.main.at)
    return NULL if at == NULL else at + ((<uint64_t> bits * (at - 1).bits) >> 32)


cdef inline uint32_t table_hint_handle(const Table* table, uint32_t bits) noexcept nogil:
    """The handle of a slot with these bits, read without a lock, for prefetching only; 0 when none is seen.
    REQUIRES: quiet_enter'ed thread."""
    cdef Slot* at = NULL
    cdef uint64_t word
    if bits >= load_relaxed_u64(&table.boundary):
        at = load_slots(<Slot**> &table.old.at)
    if at == NULL:
        at = load_slots(<Slot**> &table.main.at)
    if at == NULL:
        return 0
    word = slot_load(slots_search(at + ((<uint64_t> bits * (at - 1).bits) >> 32), <uint64_t> bits << 32))
    return <uint32_t> word if word >> 32 == bits else 0
