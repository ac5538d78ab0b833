# cython: language_level=3
"""How the log's flusher sleeps: until there is something to do, or until those have come that are expected.

All functions run on the flusher's own thread.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.log cimport Log

# Sleeps for so many ns, or until what `kind` (LogSleep) says.
cdef void log_sleep(Log* log, uint32_t kind, uint64_t ns) noexcept nogil
# Lets those who are expected come before the next sync, for as long as one takes at most, or half as long again where
# it is short; and not so often where they do not.
cdef void log_gather(Log* log) noexcept nogil
# The flusher is about to end: its thread becomes what it was.
cdef void log_end_gathering(Log* log) noexcept nogil
# A flush, writing and syncing, that began at that time is over.
cdef void log_note_flush(Log* log, uint64_t began_ns) noexcept nogil
# What log_gather asks under `always`; for tests.
cdef bint crowd_is_expected(Log* log) noexcept nogil
