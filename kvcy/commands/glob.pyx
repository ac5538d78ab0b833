# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Glob patterns, matched without recursion.

A pattern is a row of elements, each of which takes exactly one character, with stars between them. When an element does
not fit, only the last star can be extended: where an earlier star ends makes no difference to what comes after a later
one. So two places are remembered, the last star and where its text began, and the time is at most
pattern_size * size; a pattern such as a*a*a*a*b cannot make it exponential.

Corner cases are Redis's:
  * a class that is not closed reaches to the pattern's end; [] is empty and [^ matches everything
  * the end of a range is the character after the dash whatever it is, so [a-] takes ] as the end and stays open
  * a range may be given in falling order
  * a backslash at the pattern's end is a backslash
  * the empty text matches the empty pattern only (KEYS and SCAN treat a lone * as "no pattern" before they come here)
Bytes compare as unsigned numbers, in ranges too. Case is ignored for ASCII letters only.
"""
from libc.string cimport memchr


cdef inline unsigned char lower(unsigned char character) noexcept nogil:
    return character | 32 if c'A' <= character <= c'Z' else character


cdef inline bint same(unsigned char first, unsigned char second, bint ignore_case) noexcept nogil:
    return first == second or (ignore_case and lower(first) == lower(second))


cdef inline bint in_range(unsigned char first, unsigned char last, unsigned char character,
                          bint ignore_case) noexcept nogil:
    cdef unsigned char swapped
    if ignore_case:
        first, last, character = lower(first), lower(last), lower(character)
    if first > last:
        swapped = first
        first = last
        last = swapped
    return first <= character <= last


cdef size_t match_class(const char* pattern, size_t at, size_t size, char character, bint ignore_case,
                        bint* matched) noexcept nogil:
    """Matches the class whose first byte after `[` is at `at`; returns where the next element starts."""
    cdef bint negated = at < size and pattern[at] == c'^'
    cdef bint found = False
    if negated:
        at += 1
    while at < size:
        if pattern[at] == c'\\' and size - at >= 2:
            if pattern[at + 1] == character:
                found = True
            at += 2
        elif pattern[at] == c']':
            at += 1
            break
        elif size - at >= 3 and pattern[at + 1] == c'-':
            if in_range(pattern[at], pattern[at + 2], character, ignore_case):
                found = True
            at += 3
        else:
            if same(pattern[at], character, ignore_case):
                found = True
            at += 1
    matched[0] = found != negated
    return at


cdef inline size_t match_one(const char* pattern, size_t at, size_t size, char character, bint ignore_case,
                             bint* matched) noexcept nogil:
    """Matches the element at `at`, which is not a star, with one character; returns where the next element starts."""
    if pattern[at] == c'?':
        matched[0] = True
        return at + 1
    if pattern[at] == c'[':
        return match_class(pattern, at + 1, size, character, ignore_case, matched)
    if pattern[at] == c'\\' and size - at >= 2:
        at += 1
    matched[0] = same(pattern[at], character, ignore_case)
    return at + 1


cdef inline bint is_plain(char character) noexcept nogil:
    return character != c'*' and character != c'?' and character != c'[' and character != c'\\'


cdef bint glob_match(const char* pattern, size_t pattern_size, const char* text, size_t size,
                     bint ignore_case) noexcept nogil:
    cdef size_t at = 0, position = 0, following, star = 0, star_position = 0
    cdef bint starred = False, matched
    cdef const void* found
    if size == 0:
        return pattern_size == 0
    while position < size:              # ends: position grows, or the star's position does and restarts it from there
        matched = False
        following = at
        if at < pattern_size:
            if pattern[at] == c'*':
                while at < pattern_size and pattern[at] == c'*':
                    at += 1
                if at == pattern_size:
                    return True
                starred = True
                star = at
                star_position = position
                continue
            following = match_one(pattern, at, pattern_size, text[position], ignore_case, &matched)
        if matched:
            at = following
            position += 1
            continue
        if not starred:
            return False
        star_position += 1
        if is_plain(pattern[star]) and not ignore_case:
            found = memchr(text + star_position, pattern[star], size - star_position)
            if found == NULL:
                return False
            star_position = <const char*> found - text
        at = star
        position = star_position
    while at < pattern_size and pattern[at] == c'*':
        at += 1
    return at == pattern_size


cdef size_t glob_literal_bytes(const char* pattern, size_t pattern_size) noexcept nogil:
    cdef size_t at = 0
    while at < pattern_size and is_plain(pattern[at]):
        at += 1
    return at


cdef bint glob_is_literal(const char* pattern, size_t pattern_size) noexcept nogil:
    return glob_literal_bytes(pattern, pattern_size) == pattern_size
