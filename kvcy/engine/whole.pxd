# cython: language_level=3
"""Operations on the whole keyspace: emptying, swapping, counting, walking, upkeep."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.entry cimport Entry
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Keyspace

# REQUIRES for flush and swap: every shard locked exclusively.
cdef void keyspace_flush(Access* access, int database) noexcept nogil        # -1: all; memory is freed off the hot path
cdef void keyspace_swap(Access* access, int first, int second) noexcept nogil
# One shard's part of them, for replay. REQUIRES: the shard locked exclusively; all databases are below DATABASES_MAX.
cdef void shard_flush(Access* access, uint32_t shard, int database) noexcept nogil       # -1: all
cdef void shard_swap(Access* access, uint32_t shard, int first, int second) noexcept nogil
# Changes since the start, summed over the shards.
cdef uint64_t keyspace_dirty(const Keyspace* keyspace) noexcept nogil
# Counts read without locks (each exact for its shard at some moment).
cdef uint64_t keyspace_count(const Keyspace* keyspace, int database) noexcept nogil
cdef uint64_t keyspace_count_volatile(const Keyspace* keyspace, int database) noexcept nogil

# --- walking. A cursor is (shard << 32 | hash bits), 0 at the start and at the end: growth and deletion cannot make a
# walk miss a key that was there all the time.
ctypedef bint (*Visitor)(Access* access, const Entry* entry, void* context) noexcept nogil    # false stops after it
# Visits at least one and about `count_max` slots of shard (cursor >> 32) from the cursor's bits on (all equal bits
# together); returns the next cursor (the next shard's start at the end of one, 0 after the last). Visits no expired
# entry.
# REQUIRES: that shard locked, shared or exclusive. `visit` may not change the keyspace.
cdef uint64_t keyspace_walk(Access* access, uint64_t cursor, uint64_t count_max, Visitor visit,
                            void* context) noexcept nogil
# A random live entry of shard `shard` chosen by `random`, or NULL when the shard has none. REQUIRES: it is locked.
cdef Entry* keyspace_random_in(Access* access, uint32_t shard, uint64_t random) noexcept nogil

# --- upkeep: in slices, taking the locks it needs itself; called off the hot path. True when there is more to do.
cdef bint keyspace_upkeep(Keyspace* keyspace, int64_t now_ms, uint32_t slices) noexcept nogil
