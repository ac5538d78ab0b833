# cython: language_level=3
"""Applying recorded operations: what was done is done again, with no clock and no choice.

Shards are independent of each other here, flushes and swaps included, so several threads may replay the same records,
each the operations on its own part of the shards. Nothing is locked.

Operations on keys are put off until some have come together, and what they will touch is on its way from memory.

What is missing is no fault: a deletion of a key that is not there has happened already (coverage.pxd).
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.coverage cimport Coverage
from kvcy.engine.keyspace cimport Access
from kvcy.engine.operations cimport Operation
from kvcy.engine.shards cimport Key, Keyspace

cdef enum ReplayStatus:
    REPLAYED
    REPLAY_NO_MEMORY
    REPLAY_MALFORMED             # the operations are not what their checksum vouches for: written wrongly
    REPLAY_UNKNOWN_TYPE          # of a value: written by a newer version

cdef enum:
    REPLAY_WINDOW = 32           # operations on keys that wait for each other's memory

cdef struct ReplayPending:
    Operation operation
    Key key
    uint64_t position

cdef struct Replay:
    Access access
    const Coverage* coverage     # of the snapshot that was loaded; NULL: none, all is new
    uint32_t part                # this thread's: shards whose number is `part` modulo `parts`
    uint32_t parts
    uint64_t applied             # operations; a flush or a swap counts once in part 0
    uint64_t covered             # operations on keys that the snapshot knew already
    uint64_t fault_position      # of the record that could not be applied
    uint32_t waiting
    ReplayPending pending[REPLAY_WINDOW]     # [waiting]

# `now_ms` is for the access times of what is replayed; nothing expires.
# REQUIRES: nobody else uses this part of the keyspace until the replay has ended.
cdef void replay_init(Replay* replay, Keyspace* keyspace, const Coverage* coverage, uint32_t part, uint32_t parts,
                      int64_t now_ms) noexcept nogil
# All operations of a record at `position` that are in this part and new. The bytes must stay until replay_settle, which
# applies what was put off. After a fault, of this record or of one before it, the keyspace is of no use.
cdef ReplayStatus replay_record(Replay* replay, const char* operations, size_t size, uint64_t position) noexcept nogil
cdef ReplayStatus replay_settle(Replay* replay) noexcept nogil
# Makes tables that are nearly full as large as they will have to be if what is left of the log is like what was
# replayed of it (`done` of `total` bytes), but no more than four times as large; replay_trim gives back what was too
# much.
cdef void replay_reserve(Replay* replay, uint64_t done, uint64_t total) noexcept nogil
cdef void replay_trim(Replay* replay) noexcept nogil
# A fault in words.
cdef const char* replay_reason(ReplayStatus status) noexcept nogil


cdef inline int64_t replay_clock(int64_t now_ms) noexcept nogil:
    """A time before every expiry with the access tick of `now_ms` (the low 32 bits of a quarter of it)."""
    return (now_ms & ((<int64_t> 1 << 34) - 1)) - (<int64_t> 1 << 34)
