# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The numbers of the protocol's headers: counts and lengths. All inline."""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from kvcy.engine.platform cimport unlikely

cdef inline const char* scan_length(const char* at, const char* end, uint64_t* number) noexcept nogil:
    """Takes "123\\r\\n" at `at`: the address behind it, or NULL if it is not whole or not plainly such a number.
    Numbers of one and two digits are most of what comes."""
    cdef const char* start
    cdef unsigned int digit, second
    cdef uint64_t value
    if unlikely(end - at < 4):
        return NULL
    digit = <unsigned int> <unsigned char> at[0] - 48
    if unlikely(digit > 9):
        return NULL
    if at[1] == 13:
        number[0] = digit
        return at + 3
    second = <unsigned int> <unsigned char> at[1] - 48
    if unlikely(digit == 0 or second > 9):
        return NULL
    value = 10 * digit + second
    if at[2] == 13:
        number[0] = value
        return at + 4
    start = at
    at += 2
    while at < end:
        digit = <unsigned int> <unsigned char> at[0] - 48
        if digit > 9:
            break
        value = 10 * value + digit
        at += 1
        if unlikely(at - start > 10):
            return NULL
    if unlikely(end - at < 2 or at[0] != 13):
        return NULL
    number[0] = value
    return at + 2

cdef inline bint scan_number(const char* at, size_t size, int64_t* number) noexcept nogil:
    """A whole 64-bit integer as Redis reads one: no plus, no blanks, no leading zeros, no minus zero."""
    cdef bint negative = size > 0 and at[0] == c'-'
    cdef size_t i = 1 if negative else 0
    cdef uint64_t value = 0, limit = <uint64_t> INT64_MAX + (1 if negative else 0)
    cdef unsigned int digit
    if i == size or size - i > 19 or (at[i] == c'0' and size > 1):
        return False
    while i < size:
        digit = <unsigned int> <unsigned char> at[i] - 48
        if digit > 9:
            return False
        value = 10 * value + digit      # 19 digits stay below 2 ** 64
        i += 1
    if value > limit:
        return False
    number[0] = <int64_t> (0 - value) if negative else <int64_t> value
    return True
