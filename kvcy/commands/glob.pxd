# cython: language_level=3
"""Glob patterns as KEYS, SCAN and CONFIG GET take them: * ? [abc] [^a-z] \\x."""

# Whether the whole text matches. Time is at most pattern_size * size, whatever the pattern; no recursion.
cdef bint glob_match(const char* pattern, size_t pattern_size, const char* text, size_t size,
                     bint ignore_case) noexcept nogil
# How many bytes a text must begin with, as they are, to match: those before the first of * ? [ \\.
cdef size_t glob_literal_bytes(const char* pattern, size_t pattern_size) noexcept nogil
# Whether the pattern matches only one text, itself: it has none of * ? [ \\.
cdef bint glob_is_literal(const char* pattern, size_t pattern_size) noexcept nogil
