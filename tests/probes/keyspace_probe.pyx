# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The typed engine operations, one Python method each, on a keyspace with a fixed hash key and a clock of its own."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.block cimport Block, Bytes, block_bytes, block_bytes_total, block_bytes_used
from kvcy.engine.entry cimport ENTRY_EDITED, Entry, entry_expire_ms, entry_flags, entry_key, entry_value
from kvcy.engine.eviction cimport (
    EVICTION_DONE, EVICTION_NOTHING, EvictionResult, eviction_adopt, eviction_configure, eviction_frequency,
    eviction_run, eviction_step)
from kvcy.engine.eviction import POLICIES
from kvcy.engine.expiry cimport expire_lag_ms_max, keyspace_expire
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport (
    Access, keyspace_delete, keyspace_entry_bytes, keyspace_expire_at, keyspace_get, keyspace_idle_s,
    keyspace_peek, keyspace_put, keyspace_settle, keyspace_splice)
from kvcy.engine.ordered_bound cimport EDGE_HIGHEST, EDGE_LOWEST
from kvcy.engine.ranging cimport KeyRange, range_ready_all, range_walk
from kvcy.engine.queues cimport queues_of
from kvcy.engine.rename cimport keyspace_copy, keyspace_rename
from kvcy.engine.shards cimport (
    DATABASES_MAX, Key, Keyspace, ShardSet, keyspace_free, keyspace_key, keyspace_memory_bytes, keyspace_new,
    keyspace_prefetch_entry, keyspace_prefetch_slot, keyspace_used_bytes, shards_add, shards_add_all, shards_clear,
    shards_lock, shards_try_lock, shards_unlock)
from kvcy.engine.whole cimport (
    keyspace_count, keyspace_count_volatile, keyspace_dirty, keyspace_flush, keyspace_random_in, keyspace_swap,
    keyspace_upkeep, keyspace_walk)
from kvcy.engine.memory cimport memory_array_bytes, memory_array_bytes_used
from kvcy.engine.partition cimport LIST_LASTING, LIST_VOLATILE, LISTS_COUNT, Partition
from kvcy.engine.arena cimport arena_at
from kvcy.engine.status cimport Status
from kvcy.engine.watch cimport watch_add, watch_broken, watch_clear
from kvcy.engine.watchlist cimport Watcher

STATUS = ("ok", "not found", "exists", "no memory", "wrong type", "too large")


def leaving_bytes():
    """Of the process: blocks', arrays'."""
    return block_bytes_total() - block_bytes_used(), memory_array_bytes() - memory_array_bytes_used()


def blocks_bytes():
    """Of the process: all blocks', and those used."""
    return block_bytes_total(), block_bytes_used()


cdef Bytes borrowed(bytes source):
    cdef Bytes out
    out.data = PyBytes_AS_STRING(source)
    out.size = PyBytes_GET_SIZE(source)
    out.block = NULL
    return out


cdef bint collect(Access* access, const Entry* entry, void* context) noexcept with gil:
    cdef Bytes key = entry_key(entry)
    (<list> context).append(PyBytes_FromStringAndSize(key.data, key.size))
    return True


cdef class Keys:
    cdef Keyspace* keyspace
    cdef public int64_t now_ms
    cdef dict watchers

    def __cinit__(self, shards=4, lru_ordered=True):
        cdef HashKey key
        key.k0 = 1
        key.k1 = 2
        self.keyspace = keyspace_new(shards, &key)
        if self.keyspace == NULL:
            raise MemoryError
        self.keyspace.lru_ordered = lru_ordered
        self.now_ms = 1_000_000

    def __dealloc__(self):
        if self.keyspace != NULL:
            keyspace_free(self.keyspace)

    cdef Access access(self, int database, bint exclusive):
        """What one operation is handed. One thread uses a probe, so the locks need not be held, only to be taken once
        for the touches to be applied."""
        cdef Access access
        if exclusive:
            self.try_lock_all(True)
        memset(&access, 0, sizeof(Access))
        access.keyspace = self.keyspace
        access.now_ms = self.now_ms
        access.database = database
        access.exclusive = exclusive
        return access

    cdef Key key(self, bytes name):
        return keyspace_key(self.keyspace, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))

    def shard_of(self, bytes name):
        return self.key(name).shard

    def limit_pages(self, uint64_t limit):
        self.keyspace.pool.bytes_limit = limit

    def get(self, bytes name, database=0, exclusive=False, settles=True):
        """Unless it settles, as a reactor that finds a long command at work."""
        cdef Access access = self.access(database, exclusive)
        cdef Key key = self.key(name)
        cdef ShardSet shards
        cdef Entry* entry
        cdef Bytes value
        result = None
        access.keeps_touches = not settles
        shards_clear(&shards)
        shards_add(&shards, key.shard)
        shards_lock(self.keyspace, &shards, exclusive)
        entry = keyspace_get(&access, &key)
        if entry != NULL:
            value = entry_value(entry)
            result = PyBytes_FromStringAndSize(value.data, value.size)
        shards_unlock(self.keyspace, &shards, exclusive)
        if access.expired_seen and settles:
            keyspace_settle(&access, &key)
        return result

    def about(self, bytes name, database=0):
        """(expiry in ms, edited, idle seconds, bytes) of a key, or None."""
        cdef Access access = self.access(database, False)
        cdef Key key = self.key(name)
        cdef Entry* entry = keyspace_peek(&access, &key)
        if entry == NULL:
            return None
        return (entry_expire_ms(entry), bool(entry_flags(entry) & ENTRY_EDITED), keyspace_idle_s(&access, entry),
                keyspace_entry_bytes(&access, &key))

    def put(self, bytes name, bytes value, int64_t expire_ms=0, database=0):
        cdef Access access = self.access(database, True)
        cdef Key key = self.key(name)
        return STATUS[keyspace_put(&access, &key, borrowed(value), expire_ms)]

    def splice(self, bytes name, size_t offset, bytes value, database=0):
        cdef Access access = self.access(database, True)
        cdef Key key = self.key(name)
        cdef size_t size = 0
        cdef Status status = keyspace_splice(&access, &key, offset, borrowed(value), &size)
        return STATUS[status], size

    def delete(self, bytes name, database=0):
        cdef Access access = self.access(database, True)
        cdef Key key = self.key(name)
        return bool(keyspace_delete(&access, &key))

    def expire_at(self, bytes name, int64_t expire_ms, database=0):
        cdef Access access = self.access(database, True)
        cdef Key key = self.key(name)
        return STATUS[keyspace_expire_at(&access, &key, expire_ms)]

    def rename(self, bytes source, bytes target, database=0, target_database=0, replace=True):
        cdef Access access = self.access(database, True)
        cdef Key first = self.key(source)
        cdef Key second = self.key(target)
        return STATUS[keyspace_rename(&access, &first, &second, target_database, replace)]

    def copy(self, bytes source, bytes target, database=0, target_database=0, replace=True):
        cdef Access access = self.access(database, True)
        cdef Key first = self.key(source)
        cdef Key second = self.key(target)
        return STATUS[keyspace_copy(&access, &first, &second, target_database, replace)]

    def flush(self, database=-1):
        cdef Access access = self.access(0, True)
        keyspace_flush(&access, database)

    def swap(self, first, second):
        cdef Access access = self.access(0, True)
        keyspace_swap(&access, first, second)

    def walk(self, uint64_t cursor, count, database=0):
        cdef Access access = self.access(database, False)
        keys = []
        cursor = keyspace_walk(&access, cursor, count, collect, <void*> keys)
        return keys, cursor

    def all_keys(self, database=0, count=7):
        keys, cursor = self.walk(0, count, database)
        while cursor:
            more, cursor = self.walk(cursor, count, database)
            keys += more
        return keys

    def random(self, shard, uint64_t random, database=0):
        cdef Access access = self.access(database, False)
        cdef Entry* entry = keyspace_random_in(&access, shard, random)
        cdef Bytes key
        if entry == NULL:
            return None
        key = entry_key(entry)
        return PyBytes_FromStringAndSize(key.data, key.size)

    def count(self, database=0):
        return keyspace_count(self.keyspace, database), keyspace_count_volatile(self.keyspace, database)

    def dirty(self):
        return keyspace_dirty(self.keyspace)

    def memory(self):
        return keyspace_memory_bytes(self.keyspace)

    def used(self):
        return keyspace_used_bytes(self.keyspace)

    def held(self):
        """(Blocks that entries hold, bytes of those not shared), as counted in the partitions."""
        cdef const Partition* partition
        cdef uint64_t count = 0
        cdef uint64_t size = 0
        for shard in range(self.keyspace.shard_count):
            for database in range(DATABASES_MAX):
                partition = self.keyspace.shards[shard].partitions[database]
                if partition != NULL:
                    count += partition.held.count
                    size += partition.held.bytes
        return count, size

    def held_by_entries(self):
        """The same, and the bytes of shared blocks, each as often as it is held, by a walk over all entries."""
        cdef const Partition* partition
        cdef const Entry* entry
        cdef uint32_t handle
        count, size, shared = 0, 0, 0
        for shard in range(self.keyspace.shard_count):
            for database in range(DATABASES_MAX):
                partition = self.keyspace.shards[shard].partitions[database]
                for place in range(LISTS_COUNT if partition != NULL else 0):
                    handle = partition.lists[place].head
                    while handle:
                        entry = <const Entry*> arena_at(&partition.arena, handle)
                        for block in (<size_t> entry_key(entry).block, <size_t> entry_value(entry).block):
                            if block:
                                count += 1
                                if (<const Block*> <size_t> block).sharing:
                                    shared += block_bytes(<const Block*> <size_t> block)
                                else:
                                    size += block_bytes(<const Block*> <size_t> block)
                        handle = entry.next
        return count, size, shared

    def configure(self, policy, tenacity=100, lfu_log_factor=10, lfu_decay_minutes=1):
        eviction_configure(self.keyspace, POLICIES.index(policy), tenacity, lfu_log_factor, lfu_decay_minutes)
        eviction_adopt(self.keyspace, self.now_ms)

    def evict_to(self, uint64_t limit_bytes):
        cdef EvictionResult result
        self.keyspace.memory_bytes_max = limit_bytes
        result = eviction_run(self.keyspace, self.now_ms, 0)
        self.keyspace.memory_bytes_max = 0
        return "done" if result == EVICTION_DONE else "nothing" if result == EVICTION_NOTHING else "running"

    def evict(self):
        """One key."""
        before = self.dirty()
        while self.dirty() == before:
            if not eviction_step(self.keyspace, self.now_ms):
                return "nothing"
        return "done"

    def evicted(self):
        return self.keyspace.evicted_keys

    def window_share(self):
        """Of tinylfu's window, in 65,536ths; 0: nothing has been evicted yet."""
        return queues_of(self.keyspace).climb.share

    def frequency(self, bytes name, database=0):
        cdef Access access = self.access(database, False)
        cdef Key key = self.key(name)
        return eviction_frequency(self.keyspace, keyspace_peek(&access, &key), self.now_ms)

    def upkeep(self, slices):
        return bool(keyspace_upkeep(self.keyspace, self.now_ms, slices))

    def ordered_always(self, bint always):
        """Whether upkeep builds the ordered indexes."""
        self.keyspace.ordered_always = always

    def ordered(self, database=0):
        """All keys by the ordered indexes, which must be there."""
        cdef Access access = self.access(database, False)
        cdef KeyRange everything
        cdef const Entry* last = NULL
        found = []
        memset(&everything, 0, sizeof(KeyRange))
        everything.low.edge = EDGE_LOWEST
        everything.high.edge = EDGE_HIGHEST
        assert range_ready_all(&access)
        range_walk(&access, &everything, <uint64_t> -1, collect, <void*> found, &last)
        return found

    def expire_due(self):
        """Active expiry of all that is due; when it wants to be called again, ms."""
        return keyspace_expire(self.keyspace, self.now_ms, 1 << 62)

    def expired(self):
        """Keys that have been removed because they had expired; the largest lag of active expiry, ms."""
        return self.keyspace.expired_keys, expire_lag_ms_max(self.keyspace, self.now_ms)

    def prefetch(self, bytes name, database=0):
        cdef Key key = self.key(name)
        keyspace_prefetch_slot(self.keyspace, database, &key)
        keyspace_prefetch_entry(self.keyspace, database, &key)

    def lru(self, shard, database=0, expiring=False):
        """Keys of one LRU list from the most recently used on."""
        cdef Partition* partition = self.keyspace.shards[shard].partitions[database]
        cdef Entry* entry
        cdef Bytes key
        cdef uint32_t handle
        names = []
        if partition == NULL:
            return names
        handle = partition.lists[LIST_VOLATILE if expiring else LIST_LASTING].head
        while handle:
            entry = <Entry*> arena_at(&partition.arena, handle)
            key = entry_key(entry)
            names.append(PyBytes_FromStringAndSize(key.data, key.size))
            handle = entry.next
        return names

    def try_lock_all(self, exclusive):
        cdef ShardSet shards
        shards_clear(&shards)
        shards_add_all(&shards, self.keyspace)
        if not shards_try_lock(self.keyspace, &shards, exclusive):
            return False
        shards_unlock(self.keyspace, &shards, exclusive)
        return True


cdef class Watching:
    """A client that watches keys."""
    cdef Keys keys
    cdef Watcher watcher

    def __cinit__(self, Keys keys):
        self.keys = keys
        memset(&self.watcher, 0, sizeof(Watcher))

    def watch(self, bytes name, database=0):
        cdef Access access = self.keys.access(database, True)
        cdef Key key = self.keys.key(name)
        return bool(watch_add(&access, &self.watcher, &key))

    def broken(self):
        cdef Access access = self.keys.access(0, True)
        return bool(watch_broken(&access, &self.watcher))

    def clear(self):
        watch_clear(self.keys.keyspace, &self.watcher)
