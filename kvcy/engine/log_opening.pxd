# cython: language_level=3
"""The write-ahead log: opening it, for the flusher (log_writer.pxd) to go on."""
from libc.stdint cimport uint64_t

from kvcy.engine.log cimport Log, LogPolicy

cdef struct LogOptions:
    int directory                   # open as long as the log is
    unsigned char history[16]
    uint64_t segment_bytes          # a multiple of 4096
    uint64_t ring_bytes             # a power of two; 0: the default
    uint64_t position               # the end that reading found: where the log goes on
    # Known to be on disk (LogReader.durable). What lies between it and `position` is written again, since a sync that
    # failed in another process may have left it in the system's memory only.
    uint64_t durable
    bint erase                      # what lies behind `position` is to become zeros (a torn tail)
    LogPolicy policy
    uint64_t (*now_ns)() noexcept nogil     # monotonic; NULL: the system's clock

# Opens the log of a directory; makes its segment if need be. Segments behind are removed. NULL: `error` has the errno.
# REQUIRES: `position` was found by reading (log_reader.pxd); the segment before, if there is one, is complete.
cdef Log* log_open(const LogOptions* options, int* error) noexcept nogil
