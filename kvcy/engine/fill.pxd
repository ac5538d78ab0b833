# cython: language_level=3
"""Filling a partition with entries that come in hash order, as they do from a snapshot.

What most entries are (without an expiry, and small enough to lie in a cell) is added without a call: cells are taken
by the run, slots are put one behind the other, nothing is searched. What fill_add refuses, partition_add takes.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from kvcy.engine.arena cimport ARENA_CLASSES, arena_at, arena_class_bytes, arena_class_of
from kvcy.engine.entry cimport ENTRY_HEADER_BYTES, ENTRY_INLINE_MAX, ENTRY_KEY_INLINE_MAX, Entry
from kvcy.engine.lru cimport lru_push
from kvcy.engine.partition cimport LIST_LASTING, Partition
from kvcy.engine.platform cimport unlikely
from kvcy.engine.table cimport Slot, table_append

cdef struct FillRun:               # cells of one class that are taken and not yet used
    uint32_t handle                # the first one's
    uint32_t cells

cdef struct Fill:
    Partition* partition
    uint32_t access                # of all entries
    Slot* before                   # the last slot that was appended; NULL: to be searched
    FillRun runs[ARENA_CLASSES]

cdef void fill_begin(Fill* fill, Partition* partition, uint32_t access) noexcept nogil
# Gives back what was not used.
cdef void fill_end(Fill* fill) noexcept nogil
# Cells for fill_add; false: there are none, or the partition wants more to be done for a new entry.
cdef bint fill_run(Fill* fill, FillRun* run, size_t size) noexcept nogil


cdef inline bint fill_add(Fill* fill, uint32_t bits, const char* bytes, size_t key_size,
                          size_t value_size) noexcept nogil:
    """A string that does not expire: `bytes` are key and value, one behind the other. False: partition_add is to do it,
    and fill.before to be made NULL. REQUIRES: no key in the partition has larger bits, and none is this one."""
    cdef size_t size = key_size + value_size
    cdef Partition* partition = fill.partition
    cdef Slot* slot
    cdef FillRun* run
    cdef Entry* entry
    cdef int size_class
    if unlikely(key_size > ENTRY_KEY_INLINE_MAX or size > ENTRY_INLINE_MAX):
        return False
    size_class = arena_class_of(size + ENTRY_HEADER_BYTES)
    run = &fill.runs[size_class]
    if unlikely(run.cells == 0) and not fill_run(fill, run, size + ENTRY_HEADER_BYTES):
        return False
    slot = table_append(&partition.table, fill.before, bits, run.handle)
    if unlikely(slot == NULL):
        return False
    fill.before = slot
    entry = <Entry*> arena_at(&partition.arena, run.handle)
    entry.meta = <uint32_t> key_size | <uint32_t> value_size << 12
    entry.access = fill.access
    memcpy(entry + 1, bytes, size)
    lru_push(&partition.lists[LIST_LASTING], &partition.arena, run.handle)
    run.handle += <uint32_t> (arena_class_bytes(size_class) >> 3)
    run.cells -= 1
    return True
