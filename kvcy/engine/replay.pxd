# cython: language_level=3
"""Applying recorded operations: what was done is done again, with no clock and no choice.

Shards are independent of each other here, flushes and swaps included, so several threads may replay the same records,
each the operations on its own part of the shards. Nothing is locked.

What is missing is no fault: a deletion of a key that is not there has happened already (coverage.pxd).
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.coverage cimport Coverage
from kvcy.engine.keyspace cimport Access
from kvcy.engine.operations cimport Operation
from kvcy.engine.shards cimport Keyspace

cdef enum ReplayStatus:
    REPLAYED
    REPLAY_NO_MEMORY
    REPLAY_MALFORMED             # the operations are not what their checksum vouches for: written wrongly
    REPLAY_UNKNOWN_TYPE          # of a value: written by a newer version

cdef struct Replay:
    Access access
    const Coverage* coverage     # of the snapshot that was loaded; NULL: none, all is new
    uint32_t part                # this thread's: shards whose number is `part` modulo `parts`
    uint32_t parts
    uint64_t applied             # operations; a flush or a swap counts once in part 0
    uint64_t covered             # operations on keys that the snapshot knew already

# `now_ms` is for the access times of what is replayed; nothing expires.
# REQUIRES: nobody else uses this part of the keyspace until the replay has ended.
cdef void replay_init(Replay* replay, Keyspace* keyspace, const Coverage* coverage, uint32_t part, uint32_t parts,
                      int64_t now_ms) noexcept nogil
# Applies one operation of a record at `position`, if it is in this part and new.
cdef ReplayStatus replay_apply(Replay* replay, const Operation* operation, uint64_t position) noexcept nogil
# All operations of a record. After a fault the keyspace is of no use.
cdef ReplayStatus replay_record(Replay* replay, const char* operations, size_t size, uint64_t position) noexcept nogil
# A fault in words.
cdef const char* replay_reason(ReplayStatus status) noexcept nogil


cdef inline int64_t replay_clock(int64_t now_ms) noexcept nogil:
    """A time before every expiry with the access tick of `now_ms` (the low 32 bits of a quarter of it)."""
    return (now_ms & ((<int64_t> 1 << 34) - 1)) - (<int64_t> 1 << 34)
