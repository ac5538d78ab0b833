# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The system's memory, with a switch that makes it fail. See memory.pxd.

Huge pages are declined for what is mapped here: a table grows in slices, and zeroing 2 MiB at the first touch of each
would be a pause, as would be the memory that is resident and never used.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from kvcy.engine.clock cimport pause_ns
from kvcy.engine.platform cimport add_relaxed_u64, invariant, load_relaxed_u64, store_relaxed_u64, unlikely

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <sys/mman.h>
    static void* kvcy_map(size_t size) {
        void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return NULL;
    #ifdef MADV_NOHUGEPAGE
        (void) madvise(memory, size, MADV_NOHUGEPAGE);
    #endif
        return memory;
    }
    static void* kvcy_map_resize(void* memory, size_t size, size_t new_size) {
    #if defined(MREMAP_MAYMOVE) && !defined(__SANITIZE_THREAD__)     /* which does not see memory change hands so */
        void* moved = mremap(memory, size, new_size, MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    #else
        void* moved = kvcy_map(new_size);
        if (moved == NULL) return NULL;
        memcpy(moved, memory, size < new_size ? size : new_size);
        (void) munmap(memory, size);
        return moved;
    #endif
    }
    #define kvcy_unmap(memory, size) ((void) munmap((memory), (size)))
    static __thread int kvcy_patient;
    #define kvcy_drop(memory, size) ((void) madvise((memory), (size), MADV_DONTNEED))
    #if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
    #define MADV_POPULATE_WRITE 23       /* a system older than Linux 5.14 answers that it does not know it */
    #endif
    #ifdef MADV_POPULATE_WRITE
    #define kvcy_populate(memory, size) ((void) madvise((memory), (size), MADV_POPULATE_WRITE))
    #else
    #define kvcy_populate(memory, size) ((void) (memory), (void) (size))
    #endif
    """
    void* kvcy_map(size_t size) nogil
    void* kvcy_map_resize(void* memory, size_t size, size_t new_size) nogil
    void kvcy_unmap(void* memory, size_t size) nogil
    bint kvcy_patient                # this thread's
    void kvcy_drop(void* memory, size_t size) nogil
    void kvcy_populate(void* memory, size_t size) nogil

cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size)

cdef enum:
    UNMAP_BYTES = 2 << 20            # between two pauses of a patient thread
    UNMAP_PAUSE_NS = 100000
    SYSTEM_PAGE_BYTES = 4096         # where there are larger ones, the system refuses what does not begin with one

cdef uint64_t array_bytes        # atomic
cdef uint64_t leaving_bytes      # atomic: of them, those of retired arrays
cdef uint64_t fail_countdown     # atomic; 0: never fails; n: n - 1 allocations succeed, then all fail


cdef bint memory_allowed() noexcept nogil:
    """Whether the next allocation may succeed; counts it. The countdown is meant for tests with one thread."""
    cdef uint64_t countdown = load_relaxed_u64(&fail_countdown)
    if not unlikely(countdown != 0):
        return True
    if countdown == 1:
        return False
    store_relaxed_u64(&fail_countdown, countdown - 1)
    return True


cdef void* memory_new(size_t size) noexcept nogil:
    invariant(size > 0)
    return malloc(size) if memory_allowed() else NULL


cdef void* memory_new_zeroed(size_t size) noexcept nogil:
    invariant(size > 0)
    return calloc(1, size) if memory_allowed() else NULL


cdef void* memory_new_lines(size_t size) noexcept nogil:
    cdef size_t whole = (size + MEMORY_LINE_BYTES - 1) & ~<size_t> (MEMORY_LINE_BYTES - 1)
    cdef void* memory = aligned_alloc(MEMORY_LINE_BYTES, whole) if memory_allowed() else NULL
    return memory if memory == NULL else memset(memory, 0, whole)


cdef void* memory_resize(void* memory, size_t size) noexcept nogil:
    invariant(size > 0)
    return realloc(memory, size) if memory_allowed() else NULL


cdef void memory_free(void* memory) noexcept nogil:
    free(memory)


cdef void* memory_map(size_t size) noexcept nogil:
    invariant(size > 0)
    return kvcy_map(size) if memory_allowed() else NULL


cdef void* memory_map_resize(void* memory, size_t size, size_t new_size) noexcept nogil:
    invariant(memory != NULL)
    invariant(size > 0 and new_size > 0)
    return kvcy_map_resize(memory, size, new_size) if memory_allowed() else NULL


cdef void memory_unmap(void* memory, size_t size) noexcept nogil:
    invariant(memory != NULL)
    while kvcy_patient and size > UNMAP_BYTES:
        kvcy_unmap(memory, UNMAP_BYTES)
        memory = <char*> memory + UNMAP_BYTES
        size -= UNMAP_BYTES
        pause_ns(UNMAP_PAUSE_NS)
    kvcy_unmap(memory, size)


cdef void memory_set_patient(bint patient) noexcept nogil:
    global kvcy_patient
    kvcy_patient = patient


cdef void memory_drop(void* memory, size_t size) noexcept nogil:
    cdef size_t first = (<size_t> memory + SYSTEM_PAGE_BYTES - 1) & ~<size_t> (SYSTEM_PAGE_BYTES - 1)
    cdef size_t end = (<size_t> memory + size) & ~<size_t> (SYSTEM_PAGE_BYTES - 1)
    if first < end:
        kvcy_drop(<void*> first, end - first)


cdef void* memory_array_new(size_t size) noexcept nogil:
    cdef void* array
    if size >= MEMORY_MAP_BYTES_MIN:
        array = memory_map(size)
    else:
        array = memory_new_zeroed(size)
    if array != NULL:
        add_relaxed_u64(&array_bytes, size)
    return array


cdef void memory_array_free(void* array, size_t size) noexcept nogil:
    if array == NULL:
        return
    invariant(load_relaxed_u64(&array_bytes) >= size)
    add_relaxed_u64(&array_bytes, 0 - <uint64_t> size)
    if size >= MEMORY_MAP_BYTES_MIN:
        memory_unmap(array, size)
    else:
        memory_free(array)


cdef void* memory_array_new_roomy(size_t size, size_t room) noexcept nogil:
    cdef void* array = memory_map(room)
    invariant(size <= room)
    if array != NULL:
        add_relaxed_u64(&array_bytes, size)
    return array


cdef bint memory_array_grow(size_t size, size_t new_size) noexcept nogil:
    invariant(size <= new_size)
    if not memory_allowed():
        return False
    add_relaxed_u64(&array_bytes, new_size - <uint64_t> size)
    return True


cdef void memory_array_free_roomy(void* array, size_t size, size_t room) noexcept nogil:
    invariant(load_relaxed_u64(&array_bytes) >= size)
    add_relaxed_u64(&array_bytes, 0 - <uint64_t> size)
    memory_unmap(array, room)


cdef void memory_array_populate(void* array, size_t size) noexcept nogil:
    if size >= MEMORY_MAP_BYTES_MIN:
        kvcy_populate(array, size)


cdef uint64_t memory_array_bytes() noexcept nogil:
    return load_relaxed_u64(&array_bytes)


cdef uint64_t memory_array_bytes_used() noexcept nogil:
    cdef uint64_t leaving = load_relaxed_u64(&leaving_bytes)
    cdef uint64_t total = load_relaxed_u64(&array_bytes)
    return total - leaving if total > leaving else 0


cdef void memory_array_set_leaving(size_t size, bint leaving) noexcept nogil:
    add_relaxed_u64(&leaving_bytes, size if leaving else 0 - <uint64_t> size)


cdef void memory_fail_after(uint64_t count) noexcept nogil:
    store_relaxed_u64(&fail_countdown, count + 1)


cdef void memory_fail_never() noexcept nogil:
    store_relaxed_u64(&fail_countdown, 0)
