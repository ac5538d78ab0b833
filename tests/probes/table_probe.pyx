# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/table.pxd for the tests: a Table in a Python object."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.memory cimport memory_array_bytes, memory_fail_after, memory_fail_never
from kvcy.engine.quiet cimport quiet_reclaim
from kvcy.engine.table cimport (
    TABLE_STEP, Slot, Slots, Table, table_append, table_bytes, table_close, table_count, table_find, table_from,
    table_hint, table_hint_handle, table_init, table_insert, table_migrate, table_next, table_remove, table_reserve,
    table_reserve_all, table_same, table_set_handle, table_trim,
)


cdef bint slots_are_sound(const Slots* slots, uint64_t bits_min, uint64_t bits_end) noexcept nogil:
    cdef uint64_t count = 0
    cdef uint64_t bits = bits_min
    cdef uint64_t total = slots.homes + slots.tail
    cdef uint64_t place, home
    cdef const Slot* slot
    for place in range(slots.first, total):
        slot = slots.at + place
        if slot.handle == 0:
            if slot.bits != 0:
                return False
            continue
        home = (<uint64_t> slot.bits * slots.homes) >> 32
        if slot.bits < bits or slot.bits >= bits_end or home > place:
            return False
        if place > slots.first and home < place and slots.at[place - 1].handle == 0:
            return False                 # a search from its home would not reach it
        bits = slot.bits
        count += 1
    for place in range(total, total + TABLE_STEP):
        if slots.at[place].handle != 0 or slots.at[place].bits != 0:
            return False
    return count == slots.count and slots.at[total - 1].handle == 0


cdef bint table_is_sound(const Table* table) noexcept nogil:
    """Whether all that table.pxd says of the arrays holds."""
    cdef uint64_t none = <uint64_t> 1 << 32
    if table.main.at == NULL:
        return table.old.at == NULL and table_count(table) == 0
    if (table.old.at == NULL) != (table.boundary == none):
        return False
    if (table.main.at - 1).bits != table.main.homes:
        return False
    if table.old.at != NULL and not slots_are_sound(&table.old, table.boundary, none):
        return False
    return slots_are_sound(&table.main, 0, table.boundary)


cdef class TableProbe:
    """A table; `sliced_above` lowers the number of slots above which it grows in slices."""
    cdef Table table

    def __cinit__(self, sliced_above: int | None = None) -> None:
        table_init(&self.table)
        if sliced_above is not None:
            self.table.sliced_above = sliced_above

    def __dealloc__(self) -> None:
        table_close(&self.table)
        quiet_reclaim(<uint64_t> -1)

    def __len__(self) -> int:
        return table_count(&self.table)

    def add(self, uint32_t bits, uint32_t handle) -> bool:
        """Reserve and insert; False when there was no memory."""
        if not table_reserve(&self.table):
            return False
        table_insert(&self.table, bits, handle)
        return True

    def append(self, list pairs) -> int:
        """Appends slots of these bits and handles, one behind the other; how many, until one is refused."""
        cdef Slot* slot = NULL
        for number, (bits, handle) in enumerate(pairs):
            slot = table_append(&self.table, slot, bits, handle)
            if slot == NULL:
                return number
        return len(pairs)

    def find(self, uint32_t bits) -> list[int]:
        """The handles of all slots with these bits."""
        cdef Slot* slot = table_find(&self.table, bits)
        handles = []
        while slot != NULL:
            assert slot.bits == bits
            handles.append(slot.handle)
            slot = table_same(slot)
        return handles

    cdef Slot* slot_of(self, uint32_t bits, uint32_t handle):
        cdef Slot* slot = table_find(&self.table, bits)
        while slot != NULL and slot.handle != handle:
            slot = table_same(slot)
        return slot

    def remove(self, uint32_t bits, uint32_t handle) -> bool:
        cdef Slot* slot = self.slot_of(bits, handle)
        if slot == NULL:
            return False
        table_remove(&self.table, slot)
        return True

    def set_handle(self, uint32_t bits, uint32_t handle, uint32_t new) -> None:
        table_set_handle(self.slot_of(bits, handle), new)

    def first_from(self, uint64_t bits) -> tuple[int, int] | None:
        cdef Slot* slot = table_from(&self.table, bits)
        return None if slot == NULL else (slot.bits, slot.handle)

    def walk(self, uint64_t bits=0) -> list[tuple[int, int]]:
        """All slots from `bits` on, by table_from and table_next."""
        cdef Slot* slot = table_from(&self.table, bits)
        found = []
        while slot != NULL:
            found.append((slot.bits, slot.handle))
            slot = table_next(&self.table, slot)
        return found

    def hint(self, uint32_t bits) -> tuple[int, int] | None:
        """Of the home slot: its place in the main array, and whether it lies inside main or old."""
        cdef const Slot* slot = table_hint(&self.table, bits)
        if slot == NULL:
            return None
        return (slot - <const Slot*> self.table.main.at, self.is_inside(slot))

    cdef bint is_inside(self, const Slot* slot):
        cdef Table* table = &self.table
        if slot >= table.main.at and slot < table.main.at + table.main.homes:
            return True
        return table.old.at != NULL and slot >= table.old.at and slot < table.old.at + table.old.homes

    def hint_handle(self, uint32_t bits) -> int:
        return table_hint_handle(&self.table, bits)

    def reserve(self) -> bool:
        return table_reserve(&self.table)

    def reserve_all(self, uint64_t count) -> bool:
        return table_reserve_all(&self.table, count)

    def trim(self) -> None:
        table_trim(&self.table)

    def migrate(self, uint32_t slots) -> bool:
        return table_migrate(&self.table, slots)

    def is_sound(self) -> bool:
        return table_is_sound(&self.table)

    def displacement(self, uint32_t bits) -> int:
        """How far the first slot with these bits lies from its home, while nothing is being moved."""
        cdef Slot* slot = table_find(&self.table, bits)
        return (slot - self.table.main.at) - <uint64_t> ((<uint64_t> bits * self.table.main.homes) >> 32)

    @property
    def homes(self) -> int:
        return self.table.main.homes

    @property
    def tail(self) -> int:
        return self.table.main.tail

    @property
    def growing(self) -> bool:
        return self.table.old.at != NULL

    @property
    def size_bytes(self) -> int:
        return table_bytes(&self.table)


def array_bytes() -> int:
    """Bytes of all arrays of the process."""
    return memory_array_bytes()


def reclaim() -> int:
    return quiet_reclaim(<uint64_t> -1)


def fail_after(uint64_t count) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()
