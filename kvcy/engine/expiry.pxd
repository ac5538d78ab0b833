# cython: language_level=3
"""Active expiry: what is due is removed without anybody asking for it.

One thread (the server's upkeep) calls keyspace_expire when it last said so. A removal is the mutation that meeting the
expired key would have been: counted, shown to watchers, logged as a deletion. The shards are worked off in turn, each
in slices of EXPIRE_SLICE entries under its exclusive lock, so nobody waits for more than a slice.

While the log is broken or its disk full nothing is removed: a deletion that is not logged would be undone by a restart,
and expired keys are invisible anyway.

A key's lag is the time from its expiry to its removal here; keys that a command met before have none.
"""
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.shards cimport Keyspace

cdef enum:
    EXPIRE_SLICE = 16            # entries looked at under one hold of a shard's lock: about 10 us

# Removes what has expired by `now_ms`, for about `work_ns` at most. Answers when to call it again, Unix time in ms: at
# or before `now_ms` when there is more to do; WHEEL_NEVER when no key expires. Keys added meanwhile may be due before.
# REQUIRES: one thread at a time; no lock held.
cdef int64_t keyspace_expire(Keyspace* keyspace, int64_t now_ms, uint64_t work_ns) noexcept nogil
# The largest lag, in ms, among the keys removed in the second that `now_ms` lies in and the one before; any thread.
cdef uint64_t expire_lag_ms_max(const Keyspace* keyspace, int64_t now_ms) noexcept nogil
