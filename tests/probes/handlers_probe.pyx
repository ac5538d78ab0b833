# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""commands/call.pxd for the tests: runs one native handler on a keyspace of its own, without a session.

Does what the executor does for a command with keys: checks the arity, makes the keys from the row's positions, locks
their shards, calls the handler, unlocks. The clock is a number, and memory can be made to fail while the handler runs.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from kvcy.commands.call cimport WRITE, Call, Row, reply_wrong_arity
from kvcy.commands.histogram cimport histogram_note, histogram_ns, histograms_free
from kvcy.commands.registry cimport row_lookup
from kvcy.commands.types cimport HISTOGRAM_BUCKETS, RowStats
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport Access, keyspace_peek
from kvcy.engine.shards cimport (
    Key, Keyspace, ShardSet, keyspace_free, keyspace_key, keyspace_new, shards_add, shards_clear, shards_lock,
    shards_unlock)
from kvcy.engine.whole cimport keyspace_count
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.protocol.writer cimport Mark, Writer, writer_clear, writer_close, writer_init, writer_room

from kvcy.commands.registry import load

load()


cdef class Handlers:
    """A keyspace, a clock, and a way to call handlers."""
    cdef Keyspace* keyspace
    cdef Writer reply
    cdef public int64_t now_ms
    cdef public int protocol
    cdef public bint out_of_memory      # handlers find no memory
    cdef public uint64_t allocations    # but for so many allocations each
    cdef readonly uint64_t hits
    cdef readonly uint64_t misses

    def __cinit__(self, int64_t now_ms, uint32_t shards=4):
        cdef HashKey hash_key
        hash_key.k0, hash_key.k1 = 1, 2
        self.keyspace = keyspace_new(shards, &hash_key)
        if self.keyspace == NULL:
            raise MemoryError
        writer_init(&self.reply)
        self.now_ms = now_ms
        self.protocol = 2

    def __dealloc__(self):
        writer_close(&self.reply)
        if self.keyspace != NULL:
            keyspace_free(self.keyspace)

    def __len__(self) -> int:
        return keyspace_count(self.keyspace, 0)

    cdef void call(self, const Row* row, Bytes* argv, uint32_t argc, Key* keys) noexcept nogil:
        cdef Call call
        cdef ShardSet shards
        cdef bint exclusive = (row.flags & WRITE) != 0
        cdef int last = row.last_key if row.last_key >= 0 else <int> argc + row.last_key
        cdef int at = row.first_key
        memset(&call, 0, sizeof(Call))
        call.access.keyspace = self.keyspace
        call.access.now_ms = self.now_ms
        call.access.exclusive = exclusive
        call.reply = &self.reply
        call.row = row
        call.argv = argv
        call.argc = argc
        call.keys = keys
        shards_clear(&shards)
        if (row.arity > 0 and <int> argc != row.arity) or <int> argc < -row.arity:
            reply_wrong_arity(&call)
            return
        while at <= last:
            keys[call.key_count] = keyspace_key(self.keyspace, argv[at].data, argv[at].size)
            shards_add(&shards, keys[call.key_count].shard)
            call.key_count += 1
            at += row.key_step
        shards_lock(self.keyspace, &shards, exclusive)
        writer_room(&self.reply, 65536)            # the reply itself shall not be what fails
        if self.out_of_memory:
            memory_fail_after(self.allocations)
        row.handler(&call)
        memory_fail_never()
        shards_unlock(self.keyspace, &shards, exclusive)
        self.hits += call.access.hits
        self.misses += call.access.misses

    def command(self, list args) -> bytes:
        """The raw reply to one command."""
        cdef uint32_t argc = len(args)
        cdef bytes name = args[0]
        cdef const Row* row = row_lookup(name, len(name))
        cdef Bytes* argv
        cdef Key* keys
        if row == NULL or row.handler == NULL:
            raise LookupError(f"no native command {name!r}")
        argv = <Bytes*> calloc(argc, sizeof(Bytes))
        keys = <Key*> calloc(argc, sizeof(Key))
        try:
            if argv == NULL or keys == NULL:
                raise MemoryError
            for index in range(argc):
                argv[index].data = args[index]
                argv[index].size = len(args[index])
            writer_clear(&self.reply)
            self.reply.resp3 = self.protocol == 3
            with nogil:
                self.call(row, argv, argc, keys)
            return self.written()
        finally:
            free(argv)
            free(keys)

    cdef bytes written(self):
        """The reply, with the blocks it refers to put in."""
        cdef list parts = []
        cdef size_t at = 0
        cdef uint32_t index
        cdef const Mark* mark
        if self.reply.failed:
            raise MemoryError("the reply")
        for index in range(self.reply.mark_count):
            mark = &self.reply.marks[index]
            parts.append(self.reply.data[at:mark.offset])
            at = mark.offset
            parts.append((mark.block.data + mark.start)[:mark.size])
        parts.append(self.reply.data[at:self.reply.size])
        return b"".join(parts)

    def retype(self, bytes name, uint32_t type):
        """Makes a key hold, in name only, a value of another type."""
        cdef Access access
        cdef Key key = keyspace_key(self.keyspace, name, len(name))
        cdef Entry* entry
        memset(&access, 0, sizeof(Access))
        access.keyspace = self.keyspace
        access.now_ms = self.now_ms
        entry = keyspace_peek(&access, &key)
        if entry == NULL:
            raise KeyError(name)
        entry.meta = (entry.meta & ~(<uint32_t> 15 << 24)) | type << 24


def histogram_bucket(uint64_t spent_ns) -> tuple[int, int]:
    """The bucket a time is counted in, and the largest time that belongs there."""
    cdef RowStats stats
    cdef uint32_t bucket
    memset(&stats, 0, sizeof(RowStats))
    histogram_note(&stats, spent_ns)
    if stats.histogram == NULL:
        raise MemoryError
    counts = [stats.histogram.counts[bucket] for bucket in range(<uint32_t> HISTOGRAM_BUCKETS)]
    histograms_free(&stats, 1)
    assert sum(counts) == 1
    return counts.index(1), histogram_ns(counts.index(1))


def histogram_upper_ns(uint32_t bucket) -> int:
    return histogram_ns(bucket)
