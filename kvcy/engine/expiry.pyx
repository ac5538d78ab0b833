# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Active expiry: see expiry.pxd.

Whether a shard has anything to do is asked under its shared lock, and not even that where no key expires.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memset

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.entry cimport Entry, entry_expire_ms, entry_key
from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport Access, keyspace_peek
from kvcy.engine.log cimport LOG_WORKING, log_kick, log_state
from kvcy.engine.partition cimport Partition, partition_due, partition_wake_ms
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u64, store_relaxed_u64
from kvcy.engine.shards cimport DATABASES_MAX, ExpireLag, Key, Shard, keyspace_key, shard_lock, shard_unlock
from kvcy.engine.wheel cimport WHEEL_NEVER


cdef void lag_note(ExpireLag* lag, int64_t now_ms, int64_t lag_ms) noexcept nogil:
    """Counts the lag of a key removed at `now_ms`."""
    cdef uint64_t second = <uint64_t> (now_ms // 1000)
    if second != lag.second:
        store_relaxed_u64(&lag.before_ms, lag.most_ms if second == lag.second + 1 else 0)
        store_relaxed_u64(&lag.most_ms, 0)
        store_relaxed_u64(&lag.second, second)
    if <uint64_t> lag_ms > lag.most_ms:
        store_relaxed_u64(&lag.most_ms, <uint64_t> lag_ms)
    store_relaxed_u64(&lag.last_ms, <uint64_t> lag_ms)


cdef uint64_t expire_lag_ms_max(const Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef const ExpireLag* lag = &keyspace.expire_lag
    cdef uint64_t ago = <uint64_t> (now_ms // 1000) - load_relaxed_u64(&lag.second)
    if ago == 0:
        return max(load_relaxed_u64(&lag.most_ms), load_relaxed_u64(&lag.before_ms))
    return load_relaxed_u64(&lag.most_ms) if ago == 1 else 0


cdef bint shard_expires(const Shard* shard) noexcept nogil:
    """Whether any of the shard's keys has an expiry. No lock needed."""
    cdef int database
    for database in range(DATABASES_MAX):
        if load_relaxed_u64(&shard.volatile_counts[database]) != 0:
            return True
    return False


cdef int64_t shard_wake_ms(const Shard* shard, int64_t now_ms) noexcept nogil:
    """When the shard's wheels will next have something to do. REQUIRES: its lock."""
    cdef int64_t wake_ms = WHEEL_NEVER
    cdef int database
    for database in range(DATABASES_MAX):
        if shard.partitions[database] != NULL:
            wake_ms = min(wake_ms, partition_wake_ms(shard.partitions[database], now_ms))
    return wake_ms


cdef int64_t shard_slice(Access* access, uint32_t index) noexcept nogil:
    """Works off a slice of the shard; when to come again. REQUIRES: its exclusive lock."""
    cdef Shard* shard = &access.keyspace.shards[index]
    cdef uint32_t looks = EXPIRE_SLICE
    cdef Partition* partition
    cdef Entry* entry
    cdef int64_t lag_ms
    cdef Bytes name
    cdef Key key
    for access.database in range(DATABASES_MAX):
        partition = shard.partitions[access.database]
        entry = NULL if partition == NULL else partition_due(partition, access.now_ms, &looks)
        while entry != NULL:     # ends: the entry looked at is removed, and looks run out
            name = entry_key(entry)
            key = keyspace_key(access.keyspace, name.data, name.size)
            lag_ms = access.now_ms - entry_expire_ms(entry)
            keyspace_peek(access, &key)
            lag_note(&access.keyspace.expire_lag, access.now_ms, lag_ms)
            entry = partition_due(partition, access.now_ms, &looks)
    return shard_wake_ms(shard, access.now_ms)


cdef int64_t shard_expire(Access* access, uint32_t index) noexcept nogil:
    """A slice of the shard if there is anything to do; when to come again."""
    cdef Keyspace* keyspace = access.keyspace
    cdef int64_t wake_ms
    if not shard_expires(&keyspace.shards[index]):
        return WHEEL_NEVER
    shard_lock(keyspace, index, False)
    wake_ms = shard_wake_ms(&keyspace.shards[index], access.now_ms)
    shard_unlock(keyspace, index, False)
    if wake_ms > access.now_ms:
        return wake_ms
    shard_lock(keyspace, index, True)
    wake_ms = shard_slice(access, index)
    shard_unlock(keyspace, index, True)
    return wake_ms


cdef int64_t keyspace_expire(Keyspace* keyspace, int64_t now_ms, uint64_t work_ns) noexcept nogil:
    cdef uint64_t began_ns = monotonic_ns()
    cdef int64_t wake_ms = now_ms
    cdef Access access
    memset(&access, 0, sizeof(Access))
    access.keyspace = keyspace
    access.now_ms = now_ms
    access.exclusive = True
    if keyspace.log != NULL and log_state(keyspace.log) != LOG_WORKING:
        return WHEEL_NEVER
    while wake_ms <= now_ms and monotonic_ns() - began_ns < work_ns:
        wake_ms = WHEEL_NEVER
        for _ in range(keyspace.shard_count):
            keyspace.expire_shard = (keyspace.expire_shard + 1) & (keyspace.shard_count - 1)
            wake_ms = min(wake_ms, shard_expire(&access, keyspace.expire_shard))
    add_relaxed_u64(&keyspace.expire_ns, monotonic_ns() - began_ns)
    if keyspace.log != NULL:
        log_kick(keyspace.log)
    return wake_ms
