# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Counting error replies by their code, for INFO errorstats.

A code is the first word of an error, kept as two 64-bit words padded with zero bytes; longer ones are cut. The counts
are a short list that is searched from the front: a server meets about ten codes. Limit: ERROR_CODES_MAX codes, more are
left out. One thread writes; a place is published with its code by `used`, so others can read meanwhile.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from kvcy.commands.types cimport ERROR_CODE_BYTES, ERROR_CODES_MAX, ErrorCount, ErrorCounts
from kvcy.engine.platform cimport add_own_u64, load_acquire_u32, load_relaxed_u64, store_release_u32


cdef ErrorCount* place_of(ErrorCounts* counts, uint64_t low, uint64_t high) noexcept nogil:
    """The code's count, made if need be; NULL when there is no place left."""
    cdef uint32_t index
    cdef uint32_t used = counts.used
    for index in range(used):
        if counts.codes[index].low == low and counts.codes[index].high == high:
            return &counts.codes[index]
    if used == ERROR_CODES_MAX:
        return NULL
    counts.codes[used].low = low
    counts.codes[used].high = high
    counts.codes[used].count = 0
    store_release_u32(&counts.used, used + 1)
    return &counts.codes[used]


cdef void error_count(ErrorCounts* counts, const char* text, size_t size) noexcept nogil:
    cdef char code[16]
    cdef uint64_t words[2]
    cdef size_t length = 0
    cdef ErrorCount* place
    words[0] = words[1] = 0
    while length < size and length < ERROR_CODE_BYTES and text[length] > 32:
        code[length] = text[length]
        length += 1
    memcpy(words, code, length)
    place = place_of(counts, words[0], words[1])
    if place != NULL:
        add_own_u64(&place.count, 1)


cdef void error_counts_add(ErrorCounts* total, const ErrorCounts* more, bint negative) noexcept nogil:
    cdef ErrorCount* place
    cdef uint32_t index
    cdef uint64_t count
    for index in range(load_acquire_u32(&more.used)):
        place = place_of(total, more.codes[index].low, more.codes[index].high)
        if place != NULL:
            count = load_relaxed_u64(&more.codes[index].count)
            place.count += 0 - count if negative else count
