# cython: language_level=3
"""Ranges of keys, in order, over all shards: building the ordered indexes, walking, counting and deleting by them.

A partition's index (ordered.pxd) is built in hash order, a slice at a time, by whoever needs it first: keys with hash
bits below its `boundary` are in it, and are kept in it, while the rest is still to come. A range is ready when every
shard's partition of the database has a complete index, or no key. Walking merges the indexes of all shards; whoever
goes on after a slice begins behind the last key that was visited, so what changes in between does no harm.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.entry cimport Entry
from kvcy.engine.keyspace cimport Access
from kvcy.engine.ordered_bound cimport OrderedBound
from kvcy.engine.partition cimport Partition
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.status cimport Status

cdef enum:
    INDEX_SLOTS = 512                    # for index_slice: some 100 us
    RANGE_VISITS = 256                   # of the tree and the buffer each, under one hold of a shard's lock: some 50 us

cdef enum Indexed:
    INDEX_COMPLETE
    INDEX_PARTIAL
    INDEX_NO_MEMORY                      # the index is gone

cdef struct KeyRange:
    OrderedBound low
    OrderedBound high
    bint reverse                         # from high to low

cdef struct IndexTotals:                 # of one database
    uint64_t keys                        # in its indexes
    uint64_t bytes
    bint there                           # a shard has one
    bint complete                        # every shard that has keys has a complete one

ctypedef bint (*RangeVisitor)(Access* access, const Entry* entry, void* context) noexcept nogil    # false: enough

# Indexes about `slots` slots more (all with equal bits together). REQUIRES: the shard locked exclusively.
cdef Indexed index_slice(Partition* partition, uint32_t slots) noexcept nogil
# The same for a shard's partition of access.database, which may be missing (then nothing is to be done).
cdef Indexed range_prepare(Access* access, uint32_t shard, uint32_t slots) noexcept nogil
# Whether the shard is ready for range_count and range_delete. REQUIRES: the shard locked.
cdef bint range_ready(const Access* access, uint32_t shard) noexcept nogil
# Locks each shard for a moment: REQUIRES no lock held.
cdef void index_totals(Keyspace* keyspace, int database, IndexTotals* totals) noexcept nogil
# Whether all shards are. REQUIRES: all are locked.
cdef bint range_ready_all(const Access* access) noexcept nogil
# Visits keys of the range in order, until `visit` says no, `count_max` have been seen, or none is left: then *last is
# NULL, else the last entry seen. Visits no expired entry. REQUIRES: all shards locked, range_ready_all. `visit` may
# not change the keyspace.
cdef void range_walk(Access* access, const KeyRange* keys, uint64_t count_max, RangeVisitor visit, void* context,
                     const Entry** last) noexcept nogil
# Visits the range's keys in one shard that have hash bits from `bits` on, all of them, in no order. False: the range
# has more than some RANGE_VISITS there, and none was visited. REQUIRES: as range_count; keys.reverse is false.
cdef bint range_visit(Access* access, uint32_t shard, const KeyRange* keys, uint32_t bits, RangeVisitor visit,
                      void* context) noexcept nogil
# Counts the range's keys in one shard from keys.low on; the entry where to go on, or NULL when none is left.
# REQUIRES: the shard locked, range_ready.
cdef const Entry* range_count(Access* access, uint32_t shard, const KeyRange* keys, uint64_t* total) noexcept nogil
# Deletes up to `count_max` of the range's keys in one shard. OK: there may be more; NOT_FOUND: there is none left;
# NO_MEMORY: to log the next one with the rest of the group.
# REQUIRES: the shard locked exclusively, range_ready.
cdef Status range_delete(Access* access, uint32_t shard, const KeyRange* keys, uint32_t count_max,
                         uint64_t* total) noexcept nogil
