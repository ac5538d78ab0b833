# cython: language_level=3
"""The files that hold the log: names, headers, making, finding and removing them. Bytes: docs/durability.md.

All functions answer 0 (or what is named) or a negative errno.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef struct SegmentList:            # the segments of a directory, by number, rising
    uint64_t* numbers
    size_t count
    size_t capacity

# What every record's checksum begins with: a record of another directory is none here.
cdef uint32_t history_seed(const unsigned char* history) noexcept nogil
# `log-` and the number in hexadecimal; `new`: and `.new`. REQUIRES: room for SEGMENT_NAME_BYTES.
cdef void segment_name(char* name, uint64_t number, bint new) noexcept nogil
# Makes a segment, complete and synced, name and all; its descriptor. -ENOSPC or -EDQUOT: nothing is left of it, and it
# may be tried again.
cdef int segment_make(
    int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil
# Opens a segment; its descriptor. -EINVAL: it is none, of another history or of another size; -EPROTONOSUPPORT: of
# another version of the format. `reason` then says what.
cdef int segment_open(
    int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history, bint writable,
    const char** reason) noexcept nogil
# Writes the header that segment `number`, which is there, must have, whatever stands in its place, and syncs the file.
cdef int segment_write_header(
    int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil
cdef int segments_find(int directory, SegmentList* found) noexcept nogil
cdef void segments_free(SegmentList* found) noexcept nogil
# Remove the segments whose positions are all below `position`, the oldest first; and those from number `first` on, the
# newest first, each synced before the next. So what is left has no gap, whenever the process or the power ends.
cdef int segments_remove_before(int directory, uint64_t segment_bytes, uint64_t position) noexcept nogil
cdef int segments_remove_from(int directory, uint64_t first) noexcept nogil
