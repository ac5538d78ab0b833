# cython: language_level=3
"""Splits an inline command into its words, as Redis does.

    word        anything up to a blank, tab, CR or LF; vertical tab and form feed are skipped before a word only
    "..."       \\n \\r \\t \\b \\a \\xHH; any other character behind a backslash stands for itself
    '...'       \\' stands for a quote; nothing else is special

A quoted part may begin inside a word, but must end it.
"""
from libc.stdint cimport uint32_t
from kvcy.protocol.arguments cimport Arguments, ParseResult

# Appends the words of a line, *argc of them: they point into it, or, where it has quotes, into a block that `arguments`
# owns by one more entry. PARSE_COMMAND, PARSE_ERROR (the quotes do not balance) or PARSE_NO_MEMORY.
cdef ParseResult split_line(const char* line, size_t size, Arguments* arguments, uint32_t* argc) noexcept nogil
