# cython: language_level=3
"""The keyspace's shards: what they consist of, their life and their locks.

A key's 64-bit hash chooses its shard by the top bits; 32 further bits are stored in its slot. Every caller follows one
pattern: make Keys, collect their shards in a ShardSet, `shards_lock` it (shared or exclusive), operate
(keyspace.pxd, whole.pxd), `shards_unlock`. So a set of locked shards is one atomic step for every observer.
See rwlock.pxd for THE RULE.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.arena cimport arena_hint
from kvcy.engine.events cimport Events
from kvcy.engine.hash cimport HashKey, siphash13
from kvcy.engine.log cimport Log
from kvcy.engine.pages cimport PagePool
from kvcy.engine.partition cimport AccessKind, Partition
from kvcy.engine.platform cimport load_relaxed_u64, prefetch
from kvcy.engine.rwlock cimport (
    RWLock, rwlock_read, rwlock_read_done, rwlock_try_read, rwlock_try_write, rwlock_write, rwlock_write_done)
from kvcy.engine.table cimport table_hint, table_hint_handle
from kvcy.engine.watchlist cimport WatchTable

cdef extern from *:
    """
    #define KVCY_LOAD_POINTER(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define KVCY_STORE_POINTER(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    """
    Partition* load_partition "KVCY_LOAD_POINTER"(Partition* const*) nogil
    void store_partition "KVCY_STORE_POINTER"(Partition**, Partition*) nogil

cdef enum:
    DATABASES_MAX = 16
    SHARDS_MAX = 1024
    TOUCHES_MAX = 14

cdef struct TouchList:                   # in the order of the reads
    uint32_t lock                        # leaf spin lock
    uint32_t count
    uint32_t capacity
    uint64_t* at                         # [capacity]; owned, as in Shard.touches

cdef struct Shard:                       # what a read of database 0 needs comes first: one cache line
    RWLock lock
    uint32_t touch_count                 # atomic: claimed places in `touches`; may pass TOUCHES_MAX
    uint64_t position                    # in the log, behind the shard's last logged change; under the lock
    WatchTable* watched                  # keys some client watches, under `lock`
    uint64_t dirty                       # changes so far; written under the lock, read without
    Partition* partitions[16]            # by database; NULL until first used (read without the lock by prefetching)
    uint64_t touches[14]                 # (database << 32 | handle) of reads that are not yet in the LRU list
    uint64_t counts[16]                  # keys, by database; written under the lock, read without
    uint64_t volatile_counts[16]         # of them, keys with an expiry
    uint64_t reshapes                    # how often a database was flushed or swapped; under the lock
    TouchList more_touches               # of reads that found `touches` full, and may not wait for an exclusive lock
    uint64_t[2] unused                   # up to a whole number of cache lines: shards share none

cdef extern from *:
    const AccessKind* load_kind "KVCY_LOAD_ACQUIRE"(const AccessKind* const*) nogil
    void store_kind "KVCY_STORE_RELEASE"(const AccessKind**, const AccessKind*) nogil

cdef struct ExpireLag:                   # expiry.pxd; written by one thread, read by any (atomic)
    uint64_t second                      # Unix time in s
    uint64_t most_ms                     # the largest lag in it
    uint64_t before_ms                   # the largest in the second before
    uint64_t last_ms                     # of the key removed last

cdef struct Victim:                      # what goes next, for prefetching only; atomic, and maybe stale
    uint64_t entry                       # where it lies, 0 unknown
    uint64_t slot                        # where its slot is
    uint64_t hash                        # key_hash of its key

cdef struct Eviction:                    # what eviction.pyx keeps
    uint32_t policy                      # its place in the table of policies; 0: noeviction
    uint32_t lfu_log_factor
    uint32_t lfu_decay_minutes
    uint32_t adopted                     # 0: partitions may not know yet of the policy's kind (atomic)
    uint64_t slice_ns                    # how long one command may evict
    uint64_t* oldest                     # atomic: [LISTS_COUNT][shard_count], nothing that may go is older
    Victim* victims                      # as many: which entry that is
    void* queues                         # what policies with queues keep, NULL until one is chosen
    void (*queues_free)(void*) noexcept nogil

cdef struct BlockWalk:                   # how far blocks_compact has come (block_compaction.pxd)
    bint going
    uint32_t shard
    int database
    uint64_t position                    # in hash order

cdef struct Keyspace:
    HashKey hash_key
    uint32_t shard_count                 # a power of two
    uint32_t shard_bits                  # log2(shard_count)
    Shard* shards
    Log* log                             # NULL: nothing is logged. Set before the keyspace is used by others
    uint32_t long_commands               # atomic: of helpers, which may hold locks for long (commands/helping.pxd)
    PagePool pool
    uint64_t memory_bytes_max            # maxmemory; 0 none (atomic)
    uint64_t client_bytes                # what clients and their buffers take (atomic; commands/clients.pxd)
    uint32_t upkeep_shard                # where keyspace_upkeep goes on (one thread at a time)
    BlockWalk block_walk                 # of the same thread
    uint32_t expire_shard                # where keyspace_expire goes on (one thread at a time)
    uint32_t lru_ordered                 # atomic; reads move entries in the LRU list (0: the policy orders nothing)
    uint32_t ordered_always              # atomic: upkeep builds the ordered indexes that are missing (ranging.pxd)
    const AccessKind* kind               # atomic: of new partitions
    Eviction eviction
    ExpireLag expire_lag
    uint64_t expire_ns                   # atomic: how long keyspace_expire has worked
    Events events
    uint64_t evicted_keys                # atomic statistics
    uint64_t expired_keys
    uint64_t keyspace_hits
    uint64_t keyspace_misses

cdef struct Key:                         # a key with its hash, computed once
    const char* data
    size_t size
    uint32_t bits
    uint32_t shard

cdef struct ShardSet:
    uint64_t words[16]                   # a bit a shard
    uint32_t count
    uint32_t only                        # the shard, when count is 1

# --- life
# A keyspace with `shard_count` shards (a power of two, 1..SHARDS_MAX); NULL: no memory. `hash_key` is copied.
cdef Keyspace* keyspace_new(uint32_t shard_count, const HashKey* hash_key) noexcept nogil
cdef void keyspace_free(Keyspace* keyspace) noexcept nogil           # REQUIRES: no other user
# Bytes taken: pages as far as they were touched, tables, blocks. Walks over all shards.
cdef uint64_t keyspace_memory_bytes(Keyspace* keyspace) noexcept nogil
# Bytes in use, cheap and exact: cells, tables, blocks. Not counted: what is freed and can be used again, what is only
# waiting to be freed, and the log's ring.
cdef uint64_t keyspace_used_bytes(const Keyspace* keyspace) noexcept nogil
# The bytes in use that count against this limit: with what clients take, as far as that is not more than half of the
# limit. So a client that does not read cannot have more than half of what may be kept evicted.
cdef uint64_t keyspace_counted_bytes(const Keyspace* keyspace, uint64_t limit_bytes) noexcept nogil

# --- keys and locks
cdef inline Key keyspace_key(const Keyspace* keyspace, const char* data, size_t size) noexcept nogil:
    cdef uint64_t hash = siphash13(&keyspace.hash_key, data, size)
    cdef Key key
    key.data = data
    key.size = size
    key.shard = <uint32_t> (hash >> 32 >> (32 - keyspace.shard_bits))
    key.bits = <uint32_t> (hash >> (32 - keyspace.shard_bits))
    return key

cdef inline uint64_t databases_total(const uint64_t* counts) noexcept nogil:
    """The sum of a shard's counts or volatile_counts, read without its lock."""
    cdef uint64_t total = 0
    cdef int database
    for database in range(DATABASES_MAX):
        total += load_relaxed_u64(&counts[database])
    return total

cdef inline uint64_t key_hash(const Key* key) noexcept nogil:
    """Shard and hash bits in one number."""
    return <uint64_t> key.shard << 32 | key.bits

# Prefetching needs no lock, but a quiet_enter'ed thread.
cdef inline void keyspace_prefetch_slot(const Keyspace* keyspace, int database, const Key* key) noexcept nogil:
    """Prefetches the key's home slot."""
    cdef const Partition* partition = load_partition(&keyspace.shards[key.shard].partitions[database])
    if partition != NULL:
        prefetch(table_hint(&partition.table, key.bits))

cdef inline void keyspace_prefetch_entry(const Keyspace* keyspace, int database, const Key* key) noexcept nogil:
    """Prefetches the entry that a slot near the home slot names."""
    cdef const Partition* partition = load_partition(&keyspace.shards[key.shard].partitions[database])
    cdef const char* cell
    cdef uint32_t handle
    if partition == NULL:
        return
    handle = table_hint_handle(&partition.table, key.bits)
    if handle == 0:
        return
    cell = <const char*> arena_hint(&partition.arena, handle)
    if cell != NULL:
        prefetch(cell)
        prefetch(cell + 64)

cdef void shards_clear(ShardSet* set) noexcept nogil
cdef void shards_add(ShardSet* set, uint32_t shard) noexcept nogil
cdef void shards_add_all(ShardSet* set, const Keyspace* keyspace) noexcept nogil
cdef bint shards_has(const ShardSet* set, uint32_t shard) noexcept nogil
cdef void shards_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil    # in rising index
cdef bint shards_try_lock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil
cdef void shards_unlock(Keyspace* keyspace, const ShardSet* set, bint exclusive) noexcept nogil
# One shard, the common case: the same without a set.
cdef void shard_apply_touches(Shard* shard) noexcept nogil
# Adds to more_touches. False: no memory. REQUIRES: the shared lock, and a touch_count above TOUCHES_MAX.
cdef bint shard_keep_touch(Shard* shard, uint64_t touch) noexcept nogil

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
