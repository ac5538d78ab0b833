# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Direct writing of the log. See log_direct.pxd.

A file system that cannot do it, or asks for larger blocks, says EINVAL or EOPNOTSUPP, and so does one that has written
a part of a block only and is asked for the rest: the file is then written in the usual way.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.files cimport file_read_at, file_set_direct, file_write_at
from kvcy.engine.memory cimport memory_map, memory_unmap
from kvcy.engine.platform cimport invariant

cdef enum:
    BLOCKS_BYTES = DIRECT_BYTES_MAX + DIRECT_BLOCK_BYTES


cdef inline uint64_t block_begin(uint64_t place) noexcept nogil:
    return place & ~<uint64_t> (DIRECT_BLOCK_BYTES - 1)


cdef bint enter(LogDirect* direct, int file, uint64_t place) noexcept nogil:
    """Prepares for direct writing at `place`; false: something of that is not possible."""
    if direct.blocks == NULL:
        direct.blocks = <char*> memory_map(BLOCKS_BYTES)
    if direct.blocks == NULL:
        return False
    # Before, so that what was written in the usual way, and may be in the cache only, is seen on any file system.
    if place != block_begin(place) and file_read_at(
            file, direct.blocks, DIRECT_BLOCK_BYTES, block_begin(place)) != DIRECT_BLOCK_BYTES:
        return False
    direct.active = file_set_direct(file, True) == 0
    return direct.active


cdef bint direct_ready(LogDirect* direct, int file, uint64_t place) noexcept nogil:
    if not direct.active and not direct.refused and not enter(direct, file, place):
        direct_refuse(direct, file)
    return direct.active


cdef int direct_write(LogDirect* direct, int file, const char* data, size_t size, uint64_t place) noexcept nogil:
    cdef size_t head = place - block_begin(place)
    cdef size_t end = head + size
    cdef size_t last = block_begin(end)
    cdef size_t whole = last if last == end else last + DIRECT_BLOCK_BYTES
    cdef int answer
    invariant(direct.active and size <= DIRECT_BYTES_MAX)
    memcpy(direct.blocks + head, data, size)
    memset(direct.blocks + end, 0, whole - end)
    answer = file_write_at(file, direct.blocks, whole, place - head)
    if answer == 0 and last > 0:
        memcpy(direct.blocks, direct.blocks + last, end - last)
    return answer


cdef void direct_leave(LogDirect* direct, int file) noexcept nogil:
    if direct.active:
        direct.active = False
        file_set_direct(file, False)


cdef void direct_refuse(LogDirect* direct, int file) noexcept nogil:
    direct_leave(direct, file)
    direct.refused = True


cdef void direct_forget(LogDirect* direct) noexcept nogil:
    direct.active = direct.refused = False


cdef void direct_free(LogDirect* direct) noexcept nogil:
    if direct.blocks != NULL:
        memory_unmap(direct.blocks, BLOCKS_BYTES)
        direct.blocks = NULL
