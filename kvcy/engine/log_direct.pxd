# cython: language_level=3
"""Writing the log's segment past the system's cache (O_DIRECT), whole blocks at a time.

For who syncs after every few records that is the shorter way: nothing is looked up, marked and waited for in the cache
(docs/durability.md, "Under `always`"). The block in which the records end is written again with each that comes into
it, and filled up with the zeros that are there anyway. So the bytes of the file are the same by either way.
"""
from libc.stdint cimport uint64_t

cdef struct LogDirect:
    char* blocks                    # what is written at once, page-aligned; NULL: not used yet
    bint active                     # the file is written so, and `blocks` begins with the block in which it ends
    bint refused                    # this file is not to be written so: its file system cannot, or memory is short

cdef enum:
    DIRECT_BLOCK_BYTES = 4096       # a multiple of what usual disks ask for (open(2), O_DIRECT)
    DIRECT_BYTES_MAX = (1 << 18) - DIRECT_BLOCK_BYTES       # that one call writes

# Whether the file may be written by direct_write, to be asked before each; `place` is where the log ends in it.
cdef bint direct_ready(LogDirect* direct, int file, uint64_t place) noexcept nogil
# Writes `size` bytes, DIRECT_BYTES_MAX at most, behind those that were written before; 0 or a negative errno. -EINVAL
# and -EOPNOTSUPP: not in this way, direct_refuse is to be called. REQUIRES: direct_ready.
cdef int direct_write(LogDirect* direct, int file, const char* data, size_t size, uint64_t place) noexcept nogil
cdef void direct_leave(LogDirect* direct, int file) noexcept nogil      # for now: it is written in the usual way
cdef void direct_refuse(LogDirect* direct, int file) noexcept nogil     # until direct_forget
cdef void direct_forget(LogDirect* direct) noexcept nogil               # the log goes on in another file
cdef void direct_free(LogDirect* direct) noexcept nogil
