# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compaction of a partition: see compaction.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kvcy.engine.arena cimport (
    ARENA_CLASSES, arena_alloc, arena_at, arena_cell, arena_evacuate, arena_evacuate_end, arena_free, arena_room,
    arena_sparse_page, arena_used_cells)
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport ENTRY_EXPIRES, Entry, entry_flags, entry_key
from kvcy.engine.lru cimport lru_moved
from kvcy.engine.ordered cimport ordered_moved
from kvcy.engine.partition cimport partition_indexed, partition_list
from kvcy.engine.platform cimport invariant
from kvcy.engine.table cimport Slot, table_find, table_set_handle
from kvcy.engine.wheel cimport wheel_moved


cdef bint entry_move(Partition* partition, Slot* slot) noexcept nogil:
    """Gives the slot's entry another cell; false when there is no memory."""
    cdef uint32_t old_handle = slot.handle
    cdef size_t size = arena_room(&partition.arena, old_handle)
    cdef uint32_t new_handle = arena_alloc(&partition.arena, partition.pool, size)
    cdef Entry* entry
    if new_handle == 0:
        return False
    entry = <Entry*> arena_at(&partition.arena, new_handle)
    memcpy(entry, arena_at(&partition.arena, old_handle), size)
    lru_moved(partition_list(partition, entry), &partition.arena, old_handle, new_handle)
    if entry_flags(entry) & ENTRY_EXPIRES:
        wheel_moved(partition.wheel, &partition.arena, new_handle)
    if partition_indexed(partition, slot.bits):
        ordered_moved(partition.ordered, old_handle, new_handle)
    table_set_handle(slot, new_handle)
    arena_free(&partition.arena, partition.pool, old_handle)
    return True


cdef void page_evacuate(Partition* partition, uint32_t page, BitsOf bits_of, const void* context) noexcept nogil:
    """Moves every entry of the page elsewhere, unless memory ends."""
    cdef uint64_t[128] used            # ARENA_CELLS_MAX / 64
    cdef uint32_t cells = arena_used_cells(&partition.arena, page, used)
    cdef uint32_t cell, handle
    cdef Bytes key
    cdef Slot* slot
    arena_evacuate(&partition.arena, page)
    for cell in range(cells):
        if not used[cell >> 6] >> (cell & 63) & 1:
            continue
        handle = arena_cell(&partition.arena, page, cell)
        key = entry_key(<const Entry*> arena_at(&partition.arena, handle))
        slot = table_find(&partition.table, bits_of(context, key.data, key.size))
        invariant(slot != NULL)
        while slot.handle != handle:   # ends: the entry is in the table, among its equals
            invariant(slot.handle != 0)
            slot += 1
        if not entry_move(partition, slot):
            break
    arena_evacuate_end(&partition.arena, page)


cdef bint partition_compact(Partition* partition, BitsOf bits_of, const void* context) noexcept nogil:
    cdef uint32_t page
    for _ in range(ARENA_CLASSES):
        page = arena_sparse_page(&partition.arena, <int> partition.compact_class)
        if page != 0:
            page_evacuate(partition, page, bits_of, context)
            return True
        partition.compact_class = (partition.compact_class + 1) % <uint32_t> ARENA_CLASSES
    return False
