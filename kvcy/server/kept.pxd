# cython: language_level=3
"""The bytes a connection keeps of an unfinished command."""

cdef enum:
    KEPT_SPARE_BYTES = 65536             # room made at least behind a long unfinished command

cdef struct Kept:
    char* data                           # [capacity]; owned; NULL when nothing is kept
    size_t size
    size_t capacity

# Keeps these bytes (which may lie in kept.data) and nothing else; frees it for none. False: no memory, none are kept.
cdef bint kept_replace(Kept* kept, const char* data, size_t size) noexcept nogil
