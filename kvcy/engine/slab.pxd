# cython: language_level=3
"""Slabs: memory for cells of one size (see block_heap.pxd, whose parts these are).

    number of the size     0 to 79: sixteen a doubling, from 1 KiB to 32 KiB; to 103: eight, to 256 KiB, of whole pages
    cell                   its number in its slab
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kvcy.engine.platform cimport invariant

cdef extern from *:
    """
    /* AddressSanitizer notices who uses a cell that is free. */
    #ifdef __SANITIZE_ADDRESS__
    #include <sanitizer/asan_interface.h>
    #define KVCY_POISON ASAN_POISON_MEMORY_REGION
    #define KVCY_UNPOISON ASAN_UNPOISON_MEMORY_REGION
    #else
    #define KVCY_POISON(memory, size) ((void) 0)
    #define KVCY_UNPOISON(memory, size) ((void) 0)
    #endif
    """
    void poison "KVCY_POISON"(void*, size_t) nogil
    void unpoison "KVCY_UNPOISON"(void*, size_t) nogil
    int leading_zeros "__builtin_clzll"(uint64_t) nogil

cdef enum:
    SYSTEM_PAGE_BYTES = 4096
    SMALLEST_BYTES = 1025
    LARGEST_BYTES = 262144
    SMALL_CLASSES = 80               # 1 KiB to 32 KiB
    CLASSES = 104
    SMALL_BYTES_MAX = 32768
    SMALL_SLAB_BYTES = 262144
    LARGE_SLAB_BYTES = 1048576
    SLAB_HEADER_BYTES = 128
    BITMAP_WORDS = 4                 # for 240 cells at most
    CELLS_MAX = 256
    HOT_CELLS_MAX = 16
    KEEPS_ALL = 0xFFFFFFFF

cdef enum Listing:
    SLAB_FULL
    SLAB_ROOMY
    SLAB_LEAVING
    SLAB_HELD

cdef struct Slab:
    Slab* previous                   # neighbours in its list, NULL at the ends
    Slab* next
    uint32_t used                    # cells
    uint32_t fresh                   # cells from this one on were never used
    uint32_t keep                    # atomic: a plan wants cells from this one on to be moved
    uint8_t listed                   # a Listing
    uint64_t free[BITMAP_WORDS]      # bit i: cell i is free

cdef struct SlabList:
    Slab* first
    Slab* last

cdef struct SlabClass:
    uint32_t lock
    SlabList roomy
    SlabList leaving
    char* hot[HOT_CELLS_MAX]         # large cells, in use as their slabs count
    uint32_t hot_count

# Takes the slab out of the list where it is, and puts it where it is to be. REQUIRES: the lock of its size.
cdef void slab_list(SlabClass* sizes, Slab* slab, int listed, bint first) noexcept nogil
# A slab in no list; NULL: no memory.
cdef Slab* slab_new(uint32_t number) noexcept nogil
# REQUIRES: it is in no list, and no cell of it is in use.
cdef void slab_free(Slab* slab, uint32_t number) noexcept nogil


cdef inline uint32_t class_of(size_t size) noexcept nogil:
    cdef uint32_t log2 = 63 - <uint32_t> leading_zeros(size - 1)
    invariant(size >= SMALLEST_BYTES and size <= LARGEST_BYTES)
    if size <= SMALL_BYTES_MAX:
        return (log2 - 10) * 16 + (<uint32_t> (size - 1) >> (log2 - 4) & 15)
    return SMALL_CLASSES + (log2 - 15) * 8 + (<uint32_t> (size - 1) >> (log2 - 3) & 7)


cdef inline uint32_t cell_bytes(uint32_t number) noexcept nogil:
    if number < SMALL_CLASSES:
        return (17 + (number & 15)) << (6 + (number >> 4))
    number -= SMALL_CLASSES
    return (9 + (number & 7)) << (12 + (number >> 3))


cdef inline size_t slab_bytes(uint32_t number) noexcept nogil:
    return SMALL_SLAB_BYTES if number < SMALL_CLASSES else LARGE_SLAB_BYTES


cdef inline size_t header_bytes(uint32_t number) noexcept nogil:
    return SLAB_HEADER_BYTES if number < SMALL_CLASSES else SYSTEM_PAGE_BYTES


cdef inline uint32_t slab_cells(uint32_t number) noexcept nogil:
    return <uint32_t> ((slab_bytes(number) - header_bytes(number)) // cell_bytes(number))


cdef inline Slab* slab_of(const void* memory, uint32_t number) noexcept nogil:
    return <Slab*> (<size_t> memory & ~(slab_bytes(number) - 1))


cdef inline char* cell_at(Slab* slab, uint32_t number, uint32_t cell) noexcept nogil:
    return <char*> slab + header_bytes(number) + <size_t> cell * cell_bytes(number)


cdef inline uint32_t cell_of(const void* memory, uint32_t number) noexcept nogil:
    return <uint32_t> (((<size_t> memory & (slab_bytes(number) - 1)) - header_bytes(number)) // cell_bytes(number))
