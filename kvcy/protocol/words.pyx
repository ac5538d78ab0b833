# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The words of an inline command. See words.pxd."""
from libc.stdint cimport uint32_t
from libc.string cimport memchr

from kvcy.engine.block cimport Block, block_new, block_release
from kvcy.protocol.arguments cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_NO_MEMORY, Arguments, ParseResult, arguments_own, arguments_reserve)


cdef inline bint is_space(char c) noexcept nogil:
    return c == 32 or 9 <= c <= 13


cdef ParseResult split_line(const char* line, size_t size, Arguments* arguments, uint32_t* argc) noexcept nogil:
    cdef uint32_t count_before = arguments.count
    cdef Block* unquoted = NULL
    cdef ParseResult result
    if memchr(line, c'"', size) != NULL or memchr(line, c"'", size) != NULL:
        unquoted = block_new(size)
        if unquoted == NULL:
            return PARSE_NO_MEMORY
    result = split_words(line, line + size, arguments, unquoted)
    if result == PARSE_COMMAND and unquoted != NULL and not arguments_reserve(arguments, 1):
        result = PARSE_NO_MEMORY
    if result != PARSE_COMMAND:
        arguments.count = count_before
        if unquoted != NULL:
            block_release(unquoted)
        return result
    argc[0] = arguments.count - count_before
    if unquoted != NULL:
        arguments_own(arguments, unquoted)
    return PARSE_COMMAND


cdef ParseResult split_words(const char* at, const char* end, Arguments* arguments, Block* unquoted) noexcept nogil:
    """Appends the words as they stand, or, where there are quotes, decoded into `unquoted`."""
    cdef const char* word
    cdef const char* word_end
    while True:
        while at < end and is_space(at[0]):
            at += 1
        if at == end:
            return PARSE_COMMAND
        if not arguments_reserve(arguments, 1):
            return PARSE_NO_MEMORY
        if unquoted == NULL:
            word = at
            at = plain_end(at, end)
            word_end = at
        else:
            word = unquoted.data + unquoted.size
            at = unquote_word(at, end, unquoted)
            if at == NULL:
                return PARSE_ERROR
            word_end = unquoted.data + unquoted.size
        arguments.at[arguments.count].data = word
        arguments.at[arguments.count].size = word_end - word
        arguments.at[arguments.count].block = NULL
        arguments.count += 1


cdef inline bint ends_word(char c) noexcept nogil:
    """Vertical tab and form feed may stand before a word, but do not end one."""
    return c == 32 or c == 9 or c == 10 or c == 13


cdef const char* plain_end(const char* at, const char* end) noexcept nogil:
    while at < end and not ends_word(at[0]):
        at += 1
    return at


cdef inline int hex_digit(char c) noexcept nogil:
    """Its value, or -1."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= (c | 32) <= 102:
        return (c | 32) - 87
    return -1


cdef inline char escaped(char c) noexcept nogil:
    """What a backslash and `c` stand for between double quotes."""
    if c == c'n':
        return 10
    if c == c'r':
        return 13
    if c == c't':
        return 9
    if c == c'b':
        return 8
    if c == c'a':
        return 7
    return c


cdef const char* unquote_word(const char* at, const char* end, Block* to) noexcept nogil:
    """Decodes one word behind to.size; the address behind it, or NULL when its quotes do not balance.
    A quoted part may begin inside a word, but must end it. The decoded form is never the longer one."""
    cdef char quote
    while at < end and not ends_word(at[0]):
        quote = at[0]
        if quote == c'"' or quote == c"'":
            at = unquote_part(at + 1, end, quote, to)
            if at == NULL or (at < end and not is_space(at[0])):
                return NULL
            return at
        to.data[to.size] = at[0]
        to.size += 1
        at += 1
    return at


cdef const char* unquote_part(const char* at, const char* end, char quote, Block* to) noexcept nogil:
    """Decodes up to and with the closing quote; the address behind it, or NULL when there is none."""
    cdef char c
    while at < end:
        c = at[0]
        at += 1
        if c == quote:
            return at
        if c == c'\\' and at < end:
            if quote == c"'":
                if at[0] == quote:
                    c = quote
                    at += 1
            elif end - at >= 3 and at[0] == c'x' and hex_digit(at[1]) >= 0 and hex_digit(at[2]) >= 0:
                c = <char> (16 * hex_digit(at[1]) + hex_digit(at[2]))
                at += 3
            else:
                c = escaped(at[0])
                at += 1
        to.data[to.size] = c
        to.size += 1
    return NULL
