# cython: language_level=3
"""The seam between the engine and the system's memory: every allocation of the engine goes through it.

Two kinds: heap memory (malloc), and arrays (tables, page directories), which come zero-filled, are mapped from the
system when they have MEMORY_MAP_BYTES_MIN bytes or more (so that freeing them gives the memory back) and are counted.
Tests make it fail: after `memory_fail_after(n)` n allocations succeed and all later ones fail, until
`memory_fail_never()`. All functions answer NULL when there is no memory.
"""
from libc.stdint cimport uint64_t

cdef enum:
    MEMORY_MAP_BYTES_MIN = 16384
    MEMORY_LINE_BYTES = 64             # of a cache line

cdef void* memory_new(size_t size) noexcept nogil                         # contents undefined
cdef void* memory_new_zeroed(size_t size) noexcept nogil
cdef void* memory_new_lines(size_t size) noexcept nogil                   # zero-filled, whole cache lines of its own
cdef void* memory_resize(void* memory, size_t size) noexcept nogil        # NULL: `memory` is untouched
cdef void memory_free(void* memory) noexcept nogil

cdef void* memory_map(size_t size) noexcept nogil                         # zero-filled, page-aligned
cdef void* memory_map_resize(void* memory, size_t size, size_t new_size) noexcept nogil
cdef void memory_unmap(void* memory, size_t size) noexcept nogil
# Whether this thread unmaps large memory little by little, with pauses: the system takes a millisecond for each 20 MB,
# and lets nobody else have the processor meanwhile.
cdef void memory_set_patient(bint patient) noexcept nogil
# Of any memory, mapped or not: gives the pages that lie wholly in it back to the system. It stays what it is, only its
# contents are lost.
cdef void memory_drop(void* memory, size_t size) noexcept nogil

cdef void* memory_array_new(size_t size) noexcept nogil                   # zero-filled
cdef void memory_array_free(void* array, size_t size) noexcept nogil
# An array with the addresses of one of `room` bytes, always mapped, which so grows where it stands.
cdef void* memory_array_new_roomy(size_t size, size_t room) noexcept nogil
# Lets it have `new_size` bytes, `room` at most; what it grows by is zeroed. False, and nothing has changed: no memory.
cdef bint memory_array_grow(size_t size, size_t new_size) noexcept nogil
cdef void memory_array_free_roomy(void* array, size_t size, size_t room) noexcept nogil
# Has the system make it resident at once, for who is going to write to all of it: a hint, contents stay.
cdef void memory_array_populate(void* array, size_t size) noexcept nogil
# Bytes of all arrays of the process (atomic, relaxed); retired ones count until they are freed.
cdef uint64_t memory_array_bytes() noexcept nogil
# The same without those that are said to be leaving: retired, and freed when nobody can see them any more; log rings.
cdef uint64_t memory_array_bytes_used() noexcept nogil
cdef void memory_array_set_leaving(size_t size, bint leaving) noexcept nogil

# Whether the next allocation may succeed, by the tests; counts it. For what gives out parts of what it has already.
cdef bint memory_allowed() noexcept nogil
cdef void memory_fail_after(uint64_t count) noexcept nogil
cdef void memory_fail_never() noexcept nogil
