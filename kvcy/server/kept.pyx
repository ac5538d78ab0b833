# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The bytes a connection keeps of an unfinished command: see kept.pxd."""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove


cdef void shrink(Kept* kept, size_t size) noexcept nogil:
    """Gives memory back when little of much is needed."""
    cdef char* place
    if kept.capacity > 2 * KEPT_SPARE_BYTES and size < kept.capacity // 8:
        place = <char*>realloc(kept.data, size)
        if place != NULL:
            kept.data = place
            kept.capacity = size


cdef bint kept_replace(Kept* kept, const char* data, size_t size) noexcept nogil:
    if size == 0:
        free(kept.data)
        kept.data = NULL
        kept.capacity = 0
    elif data >= kept.data and data < kept.data + kept.capacity:
        if data != kept.data:
            memmove(kept.data, data, size)
        shrink(kept, size)
    else:
        if size > kept.capacity:
            free(kept.data)
            kept.size = 0
            kept.capacity = 0
            kept.data = <char*>malloc(size)
            if kept.data == NULL:
                return False
            kept.capacity = size
        memcpy(kept.data, data, size)
    kept.size = size
    return True
