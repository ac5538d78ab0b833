# cython: language_level=3
"""How long a command's calls took: a histogram a row and executor, written by the executor's thread, read by any.

Times in ns up to HISTOGRAM_NS_MAX (what takes longer counts as that), in buckets that are at most 1/32 of their times
wide: 32 between a power of two and the next, and one a nanosecond below 32.
"""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.commands.types cimport Histogram, RowStats

cdef enum:
    HISTOGRAM_NS_MAX = (1 << 30) - 1

# Counts a call in the row's histogram, which is made if need be; without memory the call is not counted.
cdef void histogram_note(RowStats* stats, uint64_t spent_ns) noexcept nogil
# The row's histogram, or NULL; any thread.
cdef const Histogram* histogram_of(const RowStats* stats) noexcept nogil
# Adds, or takes off, all counts; more may be NULL. Counts may pass below 0 meanwhile: they are numbers modulo 2 ** 64.
cdef void histogram_add(Histogram* total, const Histogram* more, bint subtract) noexcept nogil
# As histogram_add, into a row's own histogram, which is made if need be. REQUIRES: nobody else writes it.
cdef void histogram_merge(RowStats* own, const RowStats* more, bint subtract) noexcept nogil
# Frees the histograms of `count` rows.
cdef void histograms_free(RowStats* stats, uint32_t count) noexcept nogil
# The largest time that belongs to a bucket, in ns.
cdef uint64_t histogram_ns(uint32_t bucket) noexcept nogil
