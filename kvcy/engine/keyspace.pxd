# cython: language_level=3
"""The typed operations on single keys, through which everything else reaches the data.

Operations never lock by themselves and never block: the caller holds the locks of the keys' shards (shards.pxd). What
concerns the whole keyspace is in whole.pxd; two keys and more at once are in rename.pxd and puts.pxd.

Mutations (`keyspace_put`, `_restore`, `_splice`, `_delete`, `_expire_at`, those made of them, and whole.pxd's `_flush`,
`_swap`) are the only ways to change data: each makes sure first that it can be done, applies, and passes one point,
under the same lock, where it is counted in `dirty`, shown to watchers, and logged.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry
from kvcy.engine.events cimport Event
from kvcy.engine.operations cimport OpBuffer
from kvcy.engine.partition cimport EntryPlan, Partition
from kvcy.engine.shards cimport Key, Keyspace
from kvcy.engine.status cimport Status
from kvcy.engine.table cimport Slot

cdef enum:
    VALUE_BYTES_MAX = 536870912          # 512 MB

cdef enum:                               # in place of an expiry in ms
    EXPIRE_NONE = 0
    EXPIRE_KEEP = -1

cdef struct Access:                      # who asks: the context handed to every operation
    Keyspace* keyspace
    int64_t now_ms                       # Unix time, ms; read once a turn
    int database
    bint exclusive                       # the shards are locked exclusively: expired entries are removed when met
    OpBuffer* group                      # where logged operations collect, NULL: each is a record (journal.pxd)
    bint no_touch                        # CLIENT NO-TOUCH: leave access times alone
    bint keeps_touches                   # it may not wait, so keyspace_settle may be left out: no touch depends on it
    uint32_t expired_seen                # expired entries met (and hidden) or touches left: see keyspace_settle
    uint64_t hits                        # counted here, added to the keyspace's by whoever owns the Access
    uint64_t misses

# --- reading: REQUIRES the key's shard locked, shared or exclusive. An expired entry is never returned: under an
# exclusive lock it is deleted, under a shared one access.expired_seen is raised.
cdef Entry* keyspace_get(Access* access, const Key* key) noexcept nogil      # records the access, counts hit or miss
cdef Entry* keyspace_peek(Access* access, const Key* key) noexcept nogil     # leaves no trace
# What a read under the shared lock left undone for this key, when it raised access.expired_seen: deletes it if expired,
# else applies the touches. Takes the shard's lock itself. REQUIRES: no shard lock held.
cdef void keyspace_settle(Access* access, const Key* key) noexcept nogil
# Seconds since the entry was last accessed.
cdef int64_t keyspace_idle_s(const Access* access, const Entry* entry) noexcept nogil
# Bytes the key costs: slot, cell, blocks; 0 when it is missing.
cdef uint64_t keyspace_entry_bytes(Access* access, const Key* key) noexcept nogil

# --- changing: REQUIRES the key's shard locked exclusively. All pointers to entries become invalid.
# Sets the key to a string. expire_ms: Unix time in ms (must lie in the future), EXPIRE_NONE, or EXPIRE_KEEP.
# A value.block (its whole content must be the value) is adopted by taking a further reference; small values are copied.
cdef Status keyspace_put(Access* access, const Key* key, Bytes value, int64_t expire_ms) noexcept nogil
# The same with everything given by the plan (all but its key and access time), which may have expired already.
cdef Status keyspace_restore(Access* access, const Key* key, EntryPlan* plan) noexcept nogil
# Overwrites from `offset`, zero-filling up to it, growing as needed (APPEND, SETRANGE); creates the key when missing.
# *size is the new length. Keeps the expiry. TOO_LARGE beyond VALUE_BYTES_MAX.
cdef Status keyspace_splice(Access* access, const Key* key, size_t offset, Bytes bytes, size_t* size) noexcept nogil
cdef bint keyspace_delete(Access* access, const Key* key) noexcept nogil     # was it there?
# The same, and raises the event.
cdef bint keyspace_remove(Access* access, const Key* key, Event event) noexcept nogil
# Sets (or with EXPIRE_NONE removes) the expiry. A time not after now deletes the key. NOT_FOUND, OK, NO_MEMORY.
cdef Status keyspace_expire_at(Access* access, const Key* key, int64_t expire_ms) noexcept nogil

# --- the parts of a mutation, for puts.pyx and rename.pyx. REQUIRES: as above.
# The key's partition, made if need be (NULL: no memory), and its slot, NULL when the key is missing. What has expired
# is removed.
cdef Partition* keyspace_place(Access* access, const Key* key, Slot** slot) noexcept nogil
# Fills what a plan says of key and access; `slot` as keyspace_place found it.
cdef void keyspace_plan(const Access* access, const Partition* partition, const Slot* slot, const Key* key,
                        EntryPlan* plan) noexcept nogil
# What makes an entry like this one, but for key and access. The plan borrows its value.
cdef void keyspace_plan_from(EntryPlan* plan, const Entry* entry) noexcept nogil
# The entry is in the table: counted, touched, shown to watchers, logged (REQUIRES: journal_ready). `replaced`: the
# entry that it replaced and that is still in memory, or NULL.
cdef void keyspace_stored(Access* access, Partition* partition, const Key* key, const EntryPlan* plan,
                          const Entry* replaced) noexcept nogil
