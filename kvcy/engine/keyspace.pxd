# cython: language_level=3
"""The keyspace: shards, their locks, and the typed operations through which everything else reaches the data.

A key's 64-bit hash chooses its shard by the top bits; 32 further bits are stored in its slot. Every caller follows one
pattern: make Keys, collect their shards in a ShardSet, `shards_lock` it (shared or exclusive), operate,
`shards_unlock`. Operations never lock by themselves (those that walk the whole keyspace say so) and never block, so a
set of locked shards is one atomic step for every observer. See rwlock.pxd for THE RULE.

Mutations (`keyspace_put`, `_splice`, `_delete`, `_expire_at`, `_rename`, `_copy`, `_flush`, `_swap`) are the only ways
to change data: each allocates first, then has a single point where it is logged, then applies, which cannot fail.
They touch watchers and count `dirty`.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.entry cimport Entry
from kvcy.engine.hash cimport HashKey, siphash13
from kvcy.engine.pages cimport PagePool
from kvcy.engine.partition cimport Partition
from kvcy.engine.rwlock cimport (
    RWLock, rwlock_read, rwlock_read_done, rwlock_try_read, rwlock_try_write, rwlock_write, rwlock_write_done)
from kvcy.engine.status cimport Status
from kvcy.engine.watchlist cimport Watched

cdef enum:
    DATABASES_MAX = 16
    SHARDS_MAX = 1024
    VALUE_BYTES_MAX = 536870912          # 512 MB
    TOUCHES_MAX = 14

cdef enum:                               # in place of an expiry in ms
    EXPIRE_NONE = 0
    EXPIRE_KEEP = -1

cdef struct Shard:
    RWLock lock
    uint32_t touch_count                 # atomic: claimed places in `touches`; may pass TOUCHES_MAX
    uint64_t touches[14]                 # (database << 32 | handle) of reads that are not yet in the LRU list
    Partition* partitions[16]            # by database; NULL until first used (read without the lock by prefetching)
    uint64_t counts[16]                  # keys, by database; written under the lock, read without
    uint64_t volatile_counts[16]         # of them, keys with an expiry
    uint64_t dirty                       # changes so far; written under the lock, read without
    Watched* watched                     # keys some client watches, under `lock`

cdef struct Keyspace:
    HashKey hash_key
    uint32_t shard_count                 # a power of two
    uint32_t shard_bits                  # log2(shard_count)
    Shard* shards
    PagePool pool
    uint64_t memory_bytes_max            # maxmemory; 0 none (atomic)
    uint32_t upkeep_shard                # where keyspace_upkeep goes on (one thread at a time)
    bint lru_ordered                     # reads move entries in the LRU list (off when the policy orders nothing)
    uint64_t expired_keys                # atomic statistics
    uint64_t keyspace_hits
    uint64_t keyspace_misses

cdef struct Key:                         # a key with its hash, computed once
    const char* data
    size_t size
    uint32_t bits
    uint32_t shard

cdef struct Access:                      # who asks: the context handed to every operation
    Keyspace* keyspace
    int64_t now_ms                       # Unix time, ms; read once a turn
    int database
    bint exclusive                       # the shards are locked exclusively: expired entries are removed when met
    bint no_touch                        # CLIENT NO-TOUCH: leave access times alone
    uint32_t expired_seen                # expired entries met (and hidden) or touches lost: see keyspace_settle
    uint64_t hits                        # counted here, added to the keyspace's by whoever owns the Access
    uint64_t misses

cdef struct ShardSet:
    uint64_t words[16]                   # a bit a shard
    uint32_t count
    uint32_t only                        # the shard, when count is 1

# --- life
# A keyspace with `shard_count` shards (a power of two, 1..SHARDS_MAX); NULL: no memory. `hash_key` is copied.
cdef Keyspace* keyspace_new(uint32_t shard_count, const HashKey* hash_key) noexcept nogil
cdef void keyspace_free(Keyspace* keyspace) noexcept nogil           # REQUIRES: no other user
cdef uint64_t keyspace_memory_bytes(Keyspace* keyspace) noexcept nogil    # pages, tables and blocks in use

# --- keys and locks
cdef inline Key keyspace_key(const Keyspace* keyspace, const char* data, size_t size) noexcept nogil:
    cdef uint64_t hash = siphash13(&keyspace.hash_key, data, size)
    cdef Key key
    key.data = data
    key.size = size
    key.shard = <uint32_t> (hash >> 32 >> (32 - keyspace.shard_bits))
    key.bits = <uint32_t> (hash >> (32 - keyspace.shard_bits))
    return key

# Prefetches, without a lock, the key's home slot (first call) and the entry that slot names (second call).
# REQUIRES: quiet_enter'ed thread.
cdef void keyspace_prefetch_slot(const Keyspace* keyspace, int database, const Key* key) noexcept nogil
cdef void keyspace_prefetch_entry(const Keyspace* keyspace, int database, const Key* key) noexcept nogil
cdef void shards_clear(ShardSet* set) noexcept nogil
cdef void shards_add(ShardSet* set, uint32_t shard) noexcept nogil
cdef void shards_add_all(ShardSet* set, const Keyspace* keyspace) noexcept nogil
cdef bint shards_has(const ShardSet* set, uint32_t shard) noexcept nogil
cdef void shards_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil    # in rising index
cdef bint shards_try_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil
cdef void shards_unlock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil
# One shard, the common case: the same without a set.
cdef void shard_apply_touches(Shard* shard) noexcept nogil

cdef inline void shard_lock(Keyspace* keyspace, uint32_t shard, bint exclusive) noexcept nogil:
    if exclusive:
        rwlock_write(&keyspace.shards[shard].lock)
        if keyspace.shards[shard].touch_count:
            shard_apply_touches(&keyspace.shards[shard])
    else:
        rwlock_read(&keyspace.shards[shard].lock)

cdef inline bint shard_try_lock(Keyspace* keyspace, uint32_t shard, bint exclusive) noexcept nogil:
    if not exclusive:
        return rwlock_try_read(&keyspace.shards[shard].lock)
    if not rwlock_try_write(&keyspace.shards[shard].lock):
        return False
    if keyspace.shards[shard].touch_count:
        shard_apply_touches(&keyspace.shards[shard])
    return True

cdef inline void shard_unlock(Keyspace* keyspace, uint32_t shard, bint exclusive) noexcept nogil:
    if exclusive:
        rwlock_write_done(&keyspace.shards[shard].lock)
    else:
        rwlock_read_done(&keyspace.shards[shard].lock)

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
# Overwrites from `offset`, zero-filling up to it, growing as needed (APPEND, SETRANGE); creates the key when missing.
# *size is the new length. Keeps the expiry. TOO_LARGE beyond VALUE_BYTES_MAX.
cdef Status keyspace_splice(Access* access, const Key* key, size_t offset, Bytes bytes, size_t* size) noexcept nogil
cdef bint keyspace_delete(Access* access, const Key* key) noexcept nogil     # was it there?
# Sets (or with EXPIRE_NONE removes) the expiry. A time not after now deletes the key. NOT_FOUND, OK, NO_MEMORY.
cdef Status keyspace_expire_at(Access* access, const Key* key, int64_t expire_ms) noexcept nogil
# Moves the value, type and expiry of `source` in access.database to `target` in `target_database`, replacing what is
# there if `replace` (else EXISTS). NOT_FOUND when there is no source. RENAME, RENAMENX, MOVE.
cdef Status keyspace_rename(Access* access, const Key* source, const Key* target, int target_database,
                            bint replace) noexcept nogil
cdef Status keyspace_copy(Access* access, const Key* source, const Key* target, int target_database,
                          bint replace) noexcept nogil

# --- the whole keyspace. REQUIRES for flush and swap: every shard locked exclusively.
cdef void keyspace_flush(Access* access, int database) noexcept nogil        # -1: all; memory is freed off the hot path
cdef void keyspace_swap(Access* access, int first, int second) noexcept nogil
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
