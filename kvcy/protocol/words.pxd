# cython: language_level=3
"""Splits an inline command into its words, as Redis does.

    word        anything up to a blank, tab, CR or LF; vertical tab and form feed are skipped before a word only
    "..."       \\n \\r \\t \\b \\a \\xHH; any other character behind a backslash stands for itself
    '...'       \\' stands for a quote; nothing else is special

A quoted part may begin inside a word, but must end it.
"""
from kvcy.engine.block cimport Block
from kvcy.protocol.arguments cimport Arguments, ParseResult

# Appends the words of the line [at, end): as they stand there, or, when `unquoted` is not NULL, decoded into that block.
# PARSE_COMMAND, PARSE_ERROR (the quotes do not balance) or PARSE_NO_MEMORY; after these some words may be appended.
# REQUIRES: a line with a quote has an empty block with room for as many bytes as the line has.
cdef ParseResult split_words(const char* at, const char* end, Arguments* arguments, Block* unquoted) noexcept nogil
