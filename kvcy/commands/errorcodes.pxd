# cython: language_level=3
"""Counting error replies by their code (ERR, WRONGTYPE, ...), for INFO errorstats."""
from kvcy.commands.types cimport ErrorCounts

# One more error whose text (without the leading "-") starts with its code. REQUIRES: the caller's own counts; others
# may read them meanwhile.
cdef void error_count(ErrorCounts* counts, const char* text, size_t size) noexcept nogil
# Adds `more` to `total`, or with `negative` takes it off.
cdef void error_counts_add(ErrorCounts* total, const ErrorCounts* more, bint negative) noexcept nogil
