# cython: language_level=3
"""How a mutation reaches the log, under the locks of the shards that it changes.

One operation alone becomes a record at once, straight from where key and value lie. Several that must happen together
(a command with several keys, a transaction) collect in a group, an OpBuffer, which journal_commit makes one record of
before the locks are released. Without a log nothing happens.

A group is never parted: its memory is made sure of (journal_ready) before the change that is to go into it is applied,
and a change whose memory is not there is refused.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.log cimport Log
from kvcy.engine.operations cimport OpBuffer, ops_bytes, ops_reserve
from kvcy.engine.partition cimport EntryPlan
from kvcy.engine.shards cimport Keyspace, ShardSet

cdef struct Change:              # what is common to all operations on a key
    Keyspace* keyspace
    OpBuffer* group              # NULL: a record of its own
    int64_t now_ms
    uint32_t shard
    int database
    const char* key
    size_t key_size

cdef enum:
    GROUP_BYTES = 4096           # what a group that is used again and again has at least
    GROUP_KEPT_BYTES_MAX = 1048576

# After the change was applied. In a group REQUIRES journal_ready before it was, for this and the following ones.
cdef void journal_put(const Change* change, const EntryPlan* plan) noexcept nogil
cdef void journal_delete(const Change* change) noexcept nogil
cdef void journal_expire(const Change* change, int64_t expire_ms) noexcept nogil
cdef void journal_splice(const Change* change, size_t offset, const char* data, size_t size) noexcept nogil
# REQUIRES: all shards are locked; in a group, journal_ready. database -1: all of them.
cdef void journal_flush(Keyspace* keyspace, OpBuffer* group, int64_t now_ms, int database) noexcept nogil
cdef void journal_swap(Keyspace* keyspace, OpBuffer* group, int64_t now_ms, int first, int second) noexcept nogil
# Makes one record of what the group holds, if anything, and empties it; a large buffer is given back. `shards`: all
# those it changed.
cdef void journal_commit(Keyspace* keyspace, OpBuffer* group, const ShardSet* shards, int64_t now_ms) noexcept nogil


cdef inline bint journal_ready(const Keyspace* keyspace, OpBuffer* group, size_t key_size,
                               size_t value_size) noexcept nogil:
    """Makes sure that an operation can be added to the group; false: no memory, or the record would be too large. For
    several: the sums of their keys and values, and OPERATION_HEAD_MAX for each but one."""
    return keyspace.log == NULL or group == NULL or ops_reserve(group, ops_bytes(key_size, value_size))
