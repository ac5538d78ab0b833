# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Slabs: see slab.pxd."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kvcy.engine.memory cimport memory_map, memory_unmap
from kvcy.engine.platform cimport invariant, store_relaxed_u32


cdef void list_add(SlabList* list, Slab* slab, bint first) noexcept nogil:
    cdef Slab* beside = list.first if first else list.last
    slab.previous = NULL if first else beside
    slab.next = beside if first else NULL
    if beside == NULL:
        list.first = slab
        list.last = slab
    elif first:
        beside.previous = slab
        list.first = slab
    else:
        beside.next = slab
        list.last = slab


cdef void list_remove(SlabList* list, Slab* slab) noexcept nogil:
    if slab.previous != NULL:
        slab.previous.next = slab.next
    else:
        invariant(list.first == slab)
        list.first = slab.next
    if slab.next != NULL:
        slab.next.previous = slab.previous
    else:
        invariant(list.last == slab)
        list.last = slab.previous


cdef void slab_list(SlabClass* sizes, Slab* slab, int listed, bint first) noexcept nogil:
    if slab.listed == SLAB_ROOMY:
        list_remove(&sizes.roomy, slab)
    elif slab.listed == SLAB_LEAVING:
        list_remove(&sizes.leaving, slab)
    slab.listed = <uint8_t> listed
    if listed == SLAB_ROOMY:
        list_add(&sizes.roomy, slab, first)
    elif listed == SLAB_LEAVING:
        list_add(&sizes.leaving, slab, first)


cdef Slab* slab_new(uint32_t number) noexcept nogil:
    cdef size_t size = slab_bytes(number)
    cdef char* mapped = <char*> memory_map(2 * size)
    cdef char* base
    cdef Slab* slab
    cdef uint32_t cell
    if mapped == NULL:
        return NULL
    base = <char*> ((<size_t> mapped + size - 1) & ~(size - 1))
    if base != mapped:
        memory_unmap(mapped, <size_t> (base - mapped))
    memory_unmap(base + size, size - <size_t> (base - mapped))
    slab = <Slab*> base
    store_relaxed_u32(&slab.keep, <uint32_t> KEEPS_ALL)
    slab.listed = SLAB_FULL
    for cell in range(slab_cells(number)):
        slab.free[cell >> 6] |= <uint64_t> 1 << (cell & 63)
    return slab


cdef void slab_free(Slab* slab, uint32_t number) noexcept nogil:
    unpoison(slab, slab_bytes(number))
    memory_unmap(slab, slab_bytes(number))
