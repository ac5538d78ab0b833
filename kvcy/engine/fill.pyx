# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Filling a partition in hash order: see fill.pxd."""
from libc.string cimport memset

from kvcy.engine.arena cimport arena_alloc_run, arena_free


cdef void fill_begin(Fill* fill, Partition* partition, uint32_t access) noexcept nogil:
    memset(fill, 0, sizeof(Fill))
    fill.partition = partition
    fill.access = access


cdef bint fill_run(Fill* fill, FillRun* run, size_t size) noexcept nogil:
    cdef Partition* partition = fill.partition
    cdef uint32_t cells = 0
    if partition.kind != NULL or partition.ordered != NULL:
        return False
    run.handle = arena_alloc_run(&partition.arena, partition.pool, size, &cells)
    run.cells = cells if run.handle != 0 else 0
    return run.handle != 0


cdef void fill_end(Fill* fill) noexcept nogil:
    cdef Partition* partition = fill.partition
    cdef FillRun* run
    cdef int size_class
    for size_class in range(ARENA_CLASSES):
        run = &fill.runs[size_class]
        while run.cells:
            arena_free(&partition.arena, partition.pool, run.handle)
            run.handle += <uint32_t> (arena_class_bytes(size_class) >> 3)
            run.cells -= 1
