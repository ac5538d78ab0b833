# cython: language_level=3
"""The open-addressing hash table: 8-byte slots in hash order.

Linear probing, kept sorted: slot i holds an entry whose home is at most i, and the hash bits never fall from one used
slot to the next. The home of bits is (bits * homes) >> 32, so the order does not depend on the size. There is no
wrap-around: behind the homes lies a tail for what overflows. No tombstones: deletion shifts back. Equal bits lie side
by side. At most 7/8 of the homes are used, growth is by a quarter; a table with more than TABLE_SLICED_ABOVE slots
moves in slices: what has bits below `boundary` is in `main`, the rest still in `old`. A search ends because it passes an
empty slot or larger bits: each array ends with at least one empty slot.
REQUIRES: the shard's lock; exclusively for what takes a Table* that is not const.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    TABLE_SLICED_ABOVE = 32768

cdef struct Slot:
    uint32_t bits
    uint32_t handle        # 0: the slot is empty

cdef struct Slots:
    Slot* at               # [homes + tail]
    uint32_t homes         # number of home slots
    uint32_t tail          # slots behind them, the last of which is always empty
    uint32_t count         # used slots
    uint32_t first         # slots before this have been moved away (growth in slices)

cdef struct Table:
    Slots main
    Slots old              # being emptied into main; at == NULL when no growth is under way
    uint64_t boundary      # bits below it live in main; 1 << 32 when no growth is under way

cdef void table_init(Table* table) noexcept nogil
# Frees the arrays at once. REQUIRES: nobody else can see the table.
cdef void table_close(Table* table) noexcept nogil
cdef uint64_t table_count(const Table* table) noexcept nogil
cdef uint64_t table_bytes(const Table* table) noexcept nogil
# The first slot with exactly these bits, or NULL. Its equals follow it side by side (see table_same).
cdef Slot* table_find(const Table* table, uint32_t bits) noexcept nogil
# Makes sure that the next table_insert cannot fail, growing (a slice) if need be. False when there is no memory.
cdef bint table_reserve(Table* table) noexcept nogil
# As table_reserve, for `count` entries in all: sizes the table before it is filled.
cdef bint table_reserve_all(Table* table, uint64_t count) noexcept nogil
# Adds a slot. REQUIRES: table_reserve said yes since the last insert; handle != 0. Slot pointers become invalid.
cdef void table_insert(Table* table, uint32_t bits, uint32_t handle) noexcept nogil
# Removes the slot; may start a shrink. Slot pointers become invalid.
cdef void table_remove(Table* table, Slot* slot) noexcept nogil
# The first slot with bits >= `bits` (a number up to 1 << 32), in hash order; NULL at the end.
cdef Slot* table_from(const Table* table, uint64_t bits) noexcept nogil
# Address of the home slot of `bits`, read without a lock, for prefetching only; may be NULL.
cdef const Slot* table_hint(const Table* table, uint32_t bits) noexcept nogil
# Moves up to `slots` slots of a growth that is under way; false when none is.
cdef bint table_migrate(Table* table, uint32_t slots) noexcept nogil
