# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Operations, replay and snapshots on a keyspace of their own, and a native thread that writes during a snapshot.

`Durable.run` does what a store would: it applies an operation through the typed operations, under the locks, and
records it in a log that is a list of (position, bytes), setting the positions of the shards it changed.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport ENTRY_EDITED, Entry, entry_expire_ms, entry_flags, entry_key, entry_value
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport (
    Access, keyspace_delete, keyspace_expire_at, keyspace_put, keyspace_splice)
from kvcy.engine.operations cimport (
    OpBuffer, ops_delete, ops_expire, ops_flush, ops_free, ops_put, ops_reserve, ops_splice, ops_swap)
from kvcy.engine.platform cimport add_relaxed_u32, load_relaxed_u32, store_relaxed_u32
from kvcy.engine.replay cimport (
    REPLAYED, Replay, ReplayStatus, replay_clock, replay_init, replay_reason, replay_record,
    replay_settle)
from kvcy.engine.rwlock cimport back_off
from kvcy.engine.shards cimport (
    Key, Keyspace, ShardSet, keyspace_free, keyspace_key, keyspace_new, shard_lock, shard_unlock, shards_add_all,
    shards_clear, shards_lock, shards_unlock)
from kvcy.engine.snapshot cimport (
    SnapshotPlan, SnapshotProgress, SnapshotWriter, snapshot_write, snapshot_writer_free, snapshot_writer_new)
from kvcy.engine.snapshot_load cimport (
    SnapshotFile, snapshot_close, snapshot_load, snapshot_open)
from kvcy.engine.status cimport NO_MEMORY
from kvcy.engine.whole cimport keyspace_count, keyspace_count_volatile, keyspace_flush, keyspace_swap, keyspace_walk

from probes.operations_probe import encode

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(pthread_t* thread, const void* attributes, void* (*run)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)

cdef enum:
    VALUE_MAX = 40000


class Refused(Exception):
    """What an engine function said no to."""


cdef bytes text(const char* data, size_t size):
    return PyBytes_FromStringAndSize(data, size)


cdef bint collect(Access* access, const Entry* entry, void* context) noexcept with gil:
    cdef Bytes key = entry_key(entry)
    cdef Bytes value = entry_value(entry)
    (<dict> context)[text(key.data, key.size)] = (
        text(value.data, value.size), entry_expire_ms(entry), bool(entry_flags(entry) & ENTRY_EDITED))
    return True


cdef class Durable:
    cdef Keyspace* keyspace
    cdef public list log
    cdef public uint64_t position
    cdef SnapshotProgress progress
    cdef readonly uint32_t shards

    def __cinit__(self, shards=4):
        cdef HashKey key
        key.k0 = 1
        key.k1 = 2
        self.shards = shards
        self.keyspace = keyspace_new(shards, &key)
        if self.keyspace == NULL:
            raise MemoryError
        self.log = []

    def __dealloc__(self):
        if self.keyspace != NULL:
            keyspace_free(self.keyspace)

    cdef Access access(self, int database):
        cdef Access access
        memset(&access, 0, sizeof(Access))
        access.keyspace = self.keyspace
        access.now_ms = replay_clock(1_000_000)
        access.database = database
        access.exclusive = True
        return access

    def shard_of(self, bytes name):
        return keyspace_key(self.keyspace, name, len(name)).shard

    def contents(self, databases=16):
        """Every key of every database: its value, expiry, and whether it was edited."""
        cdef Access access
        cdef uint64_t cursor
        found = []
        for database in range(databases):
            access = self.access(database)
            keys = {}
            cursor = keyspace_walk(&access, 0, 1000, collect, <void*> keys)
            while cursor:
                cursor = keyspace_walk(&access, cursor, 1000, collect, <void*> keys)
            found.append(keys)
            assert self.count(database) == len(keys)
            volatile = keyspace_count_volatile(self.keyspace, database)
            assert sum(1 for key in keys.values() if key[1]) == volatile
        return found

    def count(self, database=0):
        return keyspace_count(self.keyspace, database)

    def run(self, kind, *rest):
        """Applies the operation and records it."""
        cdef Access access = self.access(rest[0])
        cdef bytes key = rest[1] if kind in ("put", "delete", "expire", "splice") else b""
        cdef Key place = keyspace_key(self.keyspace, key, len(key))
        cdef ShardSet all_shards
        cdef bytes data = rest[len(rest) - 1] if kind in ("put", "splice") else b""
        cdef Bytes value
        cdef size_t size
        cdef uint32_t i
        value.data = data
        value.size = len(data)
        value.block = NULL
        if kind in ("flush", "swap"):
            shards_clear(&all_shards)
            shards_add_all(&all_shards, self.keyspace)
            shards_lock(self.keyspace, &all_shards, True)
            if kind == "flush":
                keyspace_flush(&access, rest[0])
            else:
                keyspace_swap(&access, rest[0], rest[1])
            self.record((kind, *rest))
            for i in range(self.shards):
                self.keyspace.shards[i].position = self.position
            shards_unlock(self.keyspace, &all_shards, True)
            return
        shard_lock(self.keyspace, place.shard, True)
        if kind == "put":
            keyspace_put(&access, &place, value, rest[2])
        elif kind == "splice":
            keyspace_splice(&access, &place, rest[2], value, &size)
        elif kind == "delete":
            keyspace_delete(&access, &place)
        else:
            keyspace_expire_at(&access, &place, rest[2])
        self.record((kind, *rest))
        self.keyspace.shards[place.shard].position = self.position
        shard_unlock(self.keyspace, place.shard, True)

    def record(self, operation):
        data = encode([operation])
        self.log.append((self.position, data))
        self.position += (32 + len(data) + 7) // 8 * 8

    def replay(self, records, Loaded loaded=None, parts=1):
        """Replays (position, bytes) records, every part in turn; returns (applied, covered)."""
        cdef Replay replay
        cdef ReplayStatus status
        cdef bytes data
        applied = covered = 0
        records = list(records)          # the bytes must stay until they are settled
        for part in range(parts):
            replay_init(&replay, self.keyspace, NULL if loaded is None else &loaded.snapshot.coverage, part, parts,
                        1_000_000)
            for position, data in records:
                status = replay_record(&replay, data, len(data), position)
                if status != REPLAYED:
                    raise Refused(replay_reason(status).decode())
            status = replay_settle(&replay)
            if status != REPLAYED:
                raise Refused(replay_reason(status).decode())
            applied += replay.applied
            covered += replay.covered
        return applied, covered

    def save(self, int file, quiet=True, begin=None, sync_bytes=0):
        """Writes a snapshot; 0 or a negative errno."""
        cdef SnapshotPlan plan
        cdef SnapshotWriter* writer = snapshot_writer_new()
        cdef int error
        if writer == NULL:
            raise MemoryError
        memset(&plan, 0, sizeof(SnapshotPlan))
        memcpy(plan.history, b"0123456789abcdef", 16)
        plan.begin_position = self.position if begin is None else begin
        plan.created_ms = 5
        plan.quiet = quiet
        plan.sync_bytes = sync_bytes
        with nogil:
            error = snapshot_write(writer, self.keyspace, file, &plan, &self.progress)
        snapshot_writer_free(writer)
        return error

    def stop(self):
        store_relaxed_u32(&self.progress.stop, 1)

    def reset_progress(self):
        memset(&self.progress, 0, sizeof(SnapshotProgress))

    def saved(self):
        """The writer's progress, as a dict."""
        return self.progress

    def fill(self, uint64_t first, uint64_t count, database=0):
        """Keys of 16 bytes, values of 32."""
        cdef Access access = self.access(database)
        cdef uint64_t number
        with nogil:
            for number in range(first, first + count):
                put_number(&access, number, 32, 0)


cdef void put_number(Access* access, uint64_t number, size_t size, uint64_t seed) noexcept nogil:
    """REQUIRES: size <= VALUE_MAX."""
    cdef char[32] name
    cdef char[64] small
    cdef Key key
    cdef Bytes value
    snprintf(name, 32, b"key:%012llu", <unsigned long long> number)
    key = keyspace_key(access.keyspace, name, 16)
    memset(small, <int> (97 + (number + seed) % 26), 64)
    value.data = small
    value.size = size
    value.block = NULL
    keyspace_put(access, &key, value, 0)


cdef class Loaded:
    """A snapshot that was opened. `fault` is None or (error, offset, reason)."""
    cdef SnapshotFile snapshot
    cdef bint opened

    def __cinit__(self, int file):
        with nogil:
            self.opened = snapshot_open(&self.snapshot, file)

    def __dealloc__(self):
        snapshot_close(&self.snapshot)

    @property
    def fault(self):
        if not self.snapshot.failed:
            return None
        return self.snapshot.error, self.snapshot.error_offset, self.snapshot.error_reason.decode()

    @property
    def keys(self):
        return self.snapshot.keys

    @property
    def begin(self):
        return self.snapshot.header.begin_position

    @property
    def greatest(self):
        return self.snapshot.coverage.greatest

    def extents(self):
        """(shard, database, first, last, position, count) of each block."""
        return [(self.snapshot.coverage.extents[i].shard, self.snapshot.coverage.extents[i].database,
                 self.snapshot.coverage.extents[i].first, self.snapshot.coverage.extents[i].last,
                 self.snapshot.coverage.extents[i].position, self.snapshot.coverage.extents[i].count)
                for i in range(self.snapshot.coverage.count)]

    def load(self, Durable target):
        """Into `target`, or only checks when it is None."""
        cdef Keyspace* keyspace = NULL if target is None else target.keyspace
        cdef bint good
        if not self.opened:
            return False
        with nogil:
            good = snapshot_load(&self.snapshot, keyspace, 1_000_000)
        return good


# --- a thread that writes during a snapshot

cdef struct Writing:
    Keyspace* keyspace
    uint64_t seed
    uint64_t operations
    OpBuffer log                 # records: u64 position, u64 size, operations
    uint64_t position
    int databases
    int reshapes                 # one flush or swap in so many operations; 0: none
    bint failed
    uint32_t done                # atomic: operations so far
    uint32_t stop                # atomic: set to end early
    char* value                  # VALUE_MAX bytes


cdef uint64_t draw(uint64_t* seed, uint64_t below) noexcept nogil:
    seed[0] = seed[0] * 6364136223846793005ULL + 1442695040888963407ULL
    return (seed[0] >> 33) % below


cdef bint note(Writing* writing, OpBuffer* operations) noexcept nogil:
    """Appends the record. REQUIRES: the locks of what was changed."""
    cdef uint64_t[2] head
    head[0] = writing.position
    head[1] = operations.size
    if not ops_reserve(&writing.log, operations.size + 16):
        return False
    memcpy(writing.log.data + writing.log.size, head, 16)
    memcpy(writing.log.data + writing.log.size + 16, operations.data, operations.size)
    writing.log.size += 16 + operations.size
    writing.position += 32 + operations.size + 7 & ~<uint64_t> 7
    operations.size = 0
    return True


cdef void reshape_once(Writing* writing, Access* access, OpBuffer* operations) noexcept nogil:
    cdef ShardSet shards
    cdef int other = <int> draw(&writing.seed, writing.databases)
    cdef uint32_t i
    shards_clear(&shards)
    shards_add_all(&shards, writing.keyspace)
    shards_lock(writing.keyspace, &shards, True)
    if draw(&writing.seed, 4) == 0:
        keyspace_flush(access, other)
        ops_flush(operations, other)
    else:
        keyspace_swap(access, access.database, other)
        ops_swap(operations, access.database, other)
    writing.failed |= not note(writing, operations)
    for i in range(writing.keyspace.shard_count):
        writing.keyspace.shards[i].position = writing.position
    shards_unlock(writing.keyspace, &shards, True)


cdef void change_once(Writing* writing, Access* access, OpBuffer* operations) noexcept nogil:
    cdef uint64_t number = draw(&writing.seed, 20000)
    cdef uint64_t kind = draw(&writing.seed, 8)
    cdef int database = access.database
    cdef char[32] name
    cdef Key key
    cdef Bytes value
    cdef size_t size, offset
    cdef int64_t expire_ms = 0
    snprintf(name, 32, b"key:%012llu", <unsigned long long> number)
    key = keyspace_key(writing.keyspace, name, 16)
    value.block = NULL
    value.data = writing.value
    value.size = draw(&writing.seed, VALUE_MAX) if draw(&writing.seed, 50) == 0 else draw(&writing.seed, 100)
    memset(writing.value, <int> draw(&writing.seed, 256), value.size)
    shard_lock(writing.keyspace, key.shard, True)
    if kind < 4:
        expire_ms = <int64_t> draw(&writing.seed, 3) * 1000
        writing.failed |= keyspace_put(access, &key, value, expire_ms) == NO_MEMORY
        ops_put(operations, database, name, 16, value.data, value.size, 0, expire_ms, False)
    elif kind < 6:
        keyspace_delete(access, &key)
        ops_delete(operations, database, name, 16)
    elif kind < 7:
        offset = draw(&writing.seed, 60)
        writing.failed |= keyspace_splice(access, &key, offset, value, &size) == NO_MEMORY
        ops_splice(operations, database, name, 16, offset, value.data, value.size)
    else:
        expire_ms = <int64_t> draw(&writing.seed, 3) * 1000
        writing.failed |= keyspace_expire_at(access, &key, expire_ms) == NO_MEMORY
        ops_expire(operations, database, name, 16, expire_ms)
    writing.failed |= not note(writing, operations)
    writing.keyspace.shards[key.shard].position = writing.position
    shard_unlock(writing.keyspace, key.shard, True)


cdef void* write_all(void* argument) noexcept nogil:
    cdef Writing* writing = <Writing*> argument
    cdef Access access
    cdef OpBuffer operations
    memset(&access, 0, sizeof(Access))
    memset(&operations, 0, sizeof(OpBuffer))
    access.keyspace = writing.keyspace
    access.now_ms = replay_clock(1_000_000)
    access.exclusive = True
    writing.failed = not ops_reserve(&operations, 100 + VALUE_MAX)
    for _ in range(writing.operations):
        if writing.failed or load_relaxed_u32(&writing.stop):
            break
        add_relaxed_u32(&writing.done, 1)
        access.database = <int> draw(&writing.seed, writing.databases)
        if writing.reshapes and draw(&writing.seed, writing.reshapes) == 0:
            reshape_once(writing, &access, &operations)
        else:
            change_once(writing, &access, &operations)
    ops_free(&operations)
    return NULL


cdef class Writer:
    """A thread that changes a Durable's keyspace and records what it does, from its making to `join`."""
    cdef Writing writing
    cdef pthread_t thread
    cdef Durable target
    cdef bytearray space

    def __cinit__(self, Durable target, seed, operations, databases=1, reshapes=0):
        self.target = target
        self.space = bytearray(VALUE_MAX)
        self.writing.keyspace = target.keyspace
        self.writing.seed = seed
        self.writing.operations = operations
        self.writing.databases = databases
        self.writing.reshapes = reshapes
        self.writing.position = target.position
        self.writing.value = self.space

    def start(self):
        """Returns when the thread has begun to write."""
        cdef uint32_t turns = 0
        if pthread_create(&self.thread, NULL, write_all, &self.writing) != 0:
            raise OSError("no thread")
        with nogil:
            while load_relaxed_u32(&self.writing.done) == 0:
                back_off(&turns)

    def join(self):
        """Ends the thread; answers the records it made."""
        store_relaxed_u32(&self.writing.stop, 1)
        with nogil:
            pthread_join(self.thread, NULL)
        assert not self.writing.failed
        return self.take()

    def do(self, operations):
        """The same without a thread."""
        self.writing.operations = operations
        with nogil:
            write_all(&self.writing)
        assert not self.writing.failed

    def take(self):
        cdef uint64_t[2] head
        cdef size_t at = 0
        records = []
        while at < self.writing.log.size:
            memcpy(head, self.writing.log.data + at, 16)
            records.append((head[0], text(self.writing.log.data + at + 16, head[1])))
            at += 16 + head[1]
        self.target.position = self.writing.position
        ops_free(&self.writing.log)
        return records
