# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The engine under load, in C loops: what the engine's benchmarks time, and how long single operations take."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport Access, keyspace_delete, keyspace_get, keyspace_put
from kvcy.engine.ranging cimport INDEX_PARTIAL, range_prepare
from kvcy.engine.shards cimport (
    Key, Keyspace, keyspace_free, keyspace_key, keyspace_memory_bytes, keyspace_new, keyspace_prefetch_entry,
    keyspace_prefetch_slot, shard_lock, shard_unlock)
from kvcy.engine.whole cimport keyspace_count, keyspace_upkeep, keyspace_walk

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* now)
    int CLOCK_MONOTONIC
    int CLOCK_THREAD_CPUTIME_ID

cdef enum:
    BUCKETS = 40                     # powers of two of nanoseconds
    SLOW_NS = 1_000_000
    SLOW_MAX = 1024                  # so many slow operations are remembered
    AHEAD = 32                       # keys that are fetched ahead, as the server does
    MIXED_MASK = 0x3FFFFFFF

# 00, 01 .. 99, one after the other.
cdef bytes PAIRS = "".join(f"{n:02}" for n in range(100)).encode()
cdef const char* pairs = PAIRS


cdef inline int64_t clock_ns(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef inline void six_digits(char* at, uint32_t number) noexcept nogil:
    memcpy(at + 4, pairs + number % 100 * 2, 2)
    memcpy(at + 2, pairs + number // 100 % 100 * 2, 2)
    memcpy(at, pairs + number // 10_000 * 2, 2)


cdef inline void write_name(char* name, uint64_t index) noexcept nogil:
    """Writes key:000000000000, 16 bytes, with `index`, below 10^12, as its digits: snprintf would take longer than
    what is measured."""
    memcpy(name, b"key:", 4)
    six_digits(name + 4, <uint32_t> (index // 1_000_000))
    six_digits(name + 10, <uint32_t> (index % 1_000_000))


cdef inline uint64_t scatter(uint64_t index, uint64_t count) noexcept nogil:
    """A fixed permutation-like order over the keys, so that neighbours in time are not neighbours in memory."""
    return (index * <uint64_t> 0x9E3779B97F4A7C15 >> 17) % count


cdef inline uint64_t mix(uint64_t index) noexcept nogil:
    """A permutation of the numbers below 2^30, without any order."""
    index = index * <uint64_t> 0x9E3779B1 & <uint64_t> MIXED_MASK
    index = (index ^ index >> 15) * <uint64_t> 0x85EBCA6B & <uint64_t> MIXED_MASK
    return index ^ index >> 13


cdef bint pass_by(Access* access, const Entry* entry, void* context) noexcept nogil:
    (<uint64_t*> context)[0] += 1
    return True


cdef class Load:
    """A keyspace and loops over key:000000000000 .. (16 bytes each)."""
    cdef Keyspace* keyspace
    cdef uint64_t[40] pauses
    cdef uint64_t[1024] slow_keys
    cdef bint cpu_clock
    cdef readonly int64_t longest_ns
    cdef readonly uint64_t slow      # timed operations of more than 1 ms

    def __cinit__(self, shards=256, lru_ordered=False, cpu_clock=False):
        """`cpu_clock` times operations by the CPU time of the thread, without the pauses that the scheduler makes."""
        cdef HashKey key
        self.cpu_clock = cpu_clock
        key.k0 = 7
        key.k1 = 9
        self.keyspace = keyspace_new(shards, &key)
        self.keyspace.lru_ordered = lru_ordered

    def __dealloc__(self):
        keyspace_free(self.keyspace)

    cdef Access access(self, bint exclusive) noexcept nogil:
        cdef Access access
        memset(&access, 0, sizeof(Access))
        access.keyspace = self.keyspace
        access.now_ms = 1_700_000_000_000
        access.exclusive = exclusive
        return access

    def fill(self, uint64_t first, uint64_t last, size_t value_size=32, timed=False):
        """Sets keys first..last-1; `timed` counts each operation's time in `pauses`."""
        cdef Access access = self.access(True)
        cdef char[16] name
        cdef char[65536] value
        cdef Bytes bytes
        cdef Key key
        cdef uint64_t i
        cdef int64_t start = 0, cpu_start = 0, taken
        cdef bint clocked = timed
        memset(value, b"v", sizeof(value))
        bytes.data = value
        bytes.size = value_size
        bytes.block = NULL
        with nogil:
            for i in range(first, last):
                write_name(name, i)
                if clocked:
                    start = clock_ns(CLOCK_MONOTONIC)
                    if self.cpu_clock:
                        cpu_start = clock_ns(CLOCK_THREAD_CPUTIME_ID)
                key = keyspace_key(self.keyspace, name, 16)
                shard_lock(self.keyspace, key.shard, True)
                keyspace_put(&access, &key, bytes, 0)
                shard_unlock(self.keyspace, key.shard, True)
                if clocked:
                    if self.cpu_clock:
                        taken = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start
                        # In a virtual machine that clock may jump: no CPU time is longer than the time on the wall.
                        taken = max(0, min(taken, clock_ns(CLOCK_MONOTONIC) - start))
                    else:
                        taken = clock_ns(CLOCK_MONOTONIC) - start
                    self.note(i, taken)
        return keyspace_count(self.keyspace, 0)

    cdef void note(self, uint64_t index, int64_t ns) noexcept nogil:
        cdef int bucket = 0
        if ns > self.longest_ns:
            self.longest_ns = ns
        if ns > SLOW_NS:
            if self.slow < SLOW_MAX:
                self.slow_keys[self.slow] = index
            self.slow += 1
        while ns > 1 and bucket < BUCKETS - 1:
            ns >>= 1
            bucket += 1
        self.pauses[bucket] += 1

    def histogram(self):
        """{upper bound in ns: operations} of the timed operations."""
        return {2 << bucket: self.pauses[bucket] for bucket in range(BUCKETS) if self.pauses[bucket]}

    def name(self, uint64_t keys, uint64_t count):
        """Only writes the names that get and set use: what is not the engine's in their times."""
        cdef char[16] name
        cdef uint64_t i, sum = 0
        with nogil:
            for i in range(count):
                write_name(name, scatter(i, keys))
                sum += <unsigned char> name[15]
        return sum

    def slow_at(self):
        """Which keys the first slow operations set."""
        return [self.slow_keys[n] for n in range(min(self.slow, <uint64_t> SLOW_MAX))]

    def index(self):
        """Builds the ordered index."""
        cdef Access access = self.access(True)
        cdef uint32_t shard
        for shard in range(self.keyspace.shard_count):
            shard_lock(self.keyspace, shard, True)
            while range_prepare(&access, shard, 512) == INDEX_PARTIAL:
                pass
            shard_unlock(self.keyspace, shard, True)

    def fill_scattered(self, uint64_t first, uint64_t last):
        """Sets the keys first..last-1 of a scattered order, none of which comes twice; the ns spent under locks."""
        cdef Access access = self.access(True)
        cdef char[512] names                       # AHEAD of 16 bytes
        cdef Key[32] keys                          # AHEAD
        cdef char[32] value
        cdef Bytes bytes
        cdef uint64_t at, count
        cdef int64_t start, total = 0
        memset(value, b"v", sizeof(value))
        bytes.data = value
        bytes.size = sizeof(value)
        bytes.block = NULL
        with nogil:
            while first < last:
                count = min(last - first, <uint64_t> AHEAD)
                for at in range(count):
                    write_name(names + 16 * at, mix(first + at))
                    keys[at] = keyspace_key(self.keyspace, names + 16 * at, 16)
                    keyspace_prefetch_slot(self.keyspace, 0, &keys[at])
                for at in range(count):
                    keyspace_prefetch_entry(self.keyspace, 0, &keys[at])
                start = clock_ns(CLOCK_MONOTONIC)
                for at in range(count):
                    shard_lock(self.keyspace, keys[at].shard, True)
                    keyspace_put(&access, &keys[at], bytes, 0)
                    shard_unlock(self.keyspace, keys[at].shard, True)
                total += clock_ns(CLOCK_MONOTONIC) - start
                first += count
        return total

    def get(self, uint64_t keys, uint64_t count):
        """`count` reads of keys in scattered order; how many were found."""
        cdef Access access = self.access(False)
        cdef char[16] name
        cdef Key key
        cdef uint64_t i, found = 0
        with nogil:
            for i in range(count):
                write_name(name, scatter(i, keys))
                key = keyspace_key(self.keyspace, name, 16)
                shard_lock(self.keyspace, key.shard, False)
                found += keyspace_get(&access, &key) != NULL
                shard_unlock(self.keyspace, key.shard, False)
        return found

    def set(self, uint64_t keys, uint64_t count, size_t value_size=32):
        """`count` overwrites of keys in scattered order."""
        cdef uint64_t i
        cdef Access access = self.access(True)
        cdef char[16] name
        cdef char[65536] value
        cdef Bytes bytes
        cdef Key key
        memset(value, b"w", sizeof(value))
        bytes.data = value
        bytes.size = value_size
        bytes.block = NULL
        with nogil:
            for i in range(count):
                write_name(name, scatter(i, keys))
                key = keyspace_key(self.keyspace, name, 16)
                shard_lock(self.keyspace, key.shard, True)
                keyspace_put(&access, &key, bytes, 0)
                shard_unlock(self.keyspace, key.shard, True)

    def mixed(self, uint64_t keys, uint64_t first, uint64_t last, uint64_t writes_percent):
        """Reads and overwrites of keys in scattered order, numbered first..last-1: what one of several threads does."""
        cdef Access reading = self.access(False)
        cdef Access writing = self.access(True)
        cdef char[16] name
        cdef char[32] value
        cdef Bytes bytes
        cdef Key key
        cdef uint64_t i, found = 0
        cdef bint write
        memset(value, b"m", sizeof(value))
        bytes.data = value
        bytes.size = sizeof(value)
        bytes.block = NULL
        with nogil:
            for i in range(first, last):
                write_name(name, scatter(i, keys))
                key = keyspace_key(self.keyspace, name, 16)
                write = i % 100 < writes_percent
                shard_lock(self.keyspace, key.shard, write)
                if write:
                    keyspace_put(&writing, &key, bytes, 0)
                else:
                    found += keyspace_get(&reading, &key) != NULL
                shard_unlock(self.keyspace, key.shard, write)
        return found

    def delete(self, uint64_t first, uint64_t last):
        """Deletes keys first..last-1; how many were there."""
        cdef Access access = self.access(True)
        cdef char[16] name
        cdef Key key
        cdef uint64_t i, deleted = 0
        with nogil:
            for i in range(first, last):
                write_name(name, i)
                key = keyspace_key(self.keyspace, name, 16)
                shard_lock(self.keyspace, key.shard, True)
                deleted += keyspace_delete(&access, &key)
                shard_unlock(self.keyspace, key.shard, True)
        return deleted

    def scan(self, uint64_t count):
        """Walks the whole keyspace, `count` slots under one lock; how many keys it met."""
        cdef Access access = self.access(False)
        cdef uint64_t cursor = 0, met = 0
        cdef uint32_t shard
        with nogil:
            while True:
                shard = <uint32_t> (cursor >> 32)
                shard_lock(self.keyspace, shard, False)
                cursor = keyspace_walk(&access, cursor, count, pass_by, &met)
                shard_unlock(self.keyspace, shard, False)
                if cursor == 0:
                    break
        return met

    def upkeep(self):
        """Compacts, reclaims, until nothing is left to do."""
        with nogil:
            while keyspace_upkeep(self.keyspace, 1_700_000_000_000, 256):
                pass

    def memory_bytes(self):
        return keyspace_memory_bytes(self.keyspace)
