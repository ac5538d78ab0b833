# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The snapshot's writer: see snapshot.pxd.

    shard by shard, database by database: hold the lock, copy from where the last hold ended, let go; end the block when
    it is large, or when the next hold finds that the shard has changed meanwhile. All entries with equal bits are
    copied in one hold. When a database of the shard was flushed or swapped meanwhile, what has been written of the
    shard is written over: the shard is begun again.
"""
from libc.errno cimport EAGAIN, ENOMEM
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes, block_release, block_retain
from kvcy.engine.checksum cimport crc32c
from kvcy.engine.clock cimport monotonic_ns, pause_ns
from kvcy.engine.entry cimport (
    ENTRY_EDITED, Entry, entry_expire_ms, entry_flags, entry_key, entry_type, entry_value)
from kvcy.engine.files cimport file_sync, file_truncate, file_write_at, file_write_back
from kvcy.engine.operations cimport OPERATION_HEAD_MAX, entry_head_write
from kvcy.engine.partition cimport Partition, partition_entry
from kvcy.engine.platform cimport add_own_u64, invariant, load_relaxed_u32, prefetch, store_relaxed_u64
from kvcy.engine.shards cimport DATABASES_MAX, Shard, shard_lock, shard_unlock
from kvcy.engine.table cimport Slot, table_from, table_next

cdef extern from *:
    """
    #include <stdint.h>
    /* What snapshot.pxd's structs must measure, since they are written as they are. */
    #define KVCY_SNAPSHOT_SIZES(header, block, footer) do { \
        _Static_assert(sizeof(header) == 128, "SNAPSHOT_HEADER_BYTES"); \
        _Static_assert(sizeof(block) == 48, "SNAPSHOT_BLOCK_HEADER_BYTES"); \
        _Static_assert(sizeof(footer) == 16, "the footer"); } while (0)
    """
    void assert_sizes "KVCY_SNAPSHOT_SIZES"(SnapshotHeader, BlockHeader, SnapshotFooter) nogil

cdef extern from "<errno.h>" nogil:
    const int ECANCELED

cdef enum:
    BUFFER_SLACK_BYTES = 262144      # behind SNAPSHOT_BLOCK_BYTES: one hold, and entries with equal bits
    APARTS_MIN = 1024                # as many stand apart in a block at most, but for those with equal bits
    AHEAD_SLOTS = 12                 # entries are fetched so long before they are copied
    WORK_NS = 500000                 # between two pauses, and a pause

cdef enum Step:                      # what a hold found
    STEP_MORE
    STEP_END                         # of the database
    STEP_CHANGED                     # the shard's position: end the block first
    STEP_RESHAPED                    # begin the shard again
    STEP_NO_MEMORY


# --- life

cdef SnapshotWriter* snapshot_writer_new() noexcept nogil:
    cdef SnapshotWriter* writer = <SnapshotWriter*> calloc(1, sizeof(SnapshotWriter))
    if writer == NULL:
        return NULL
    writer.capacity = SNAPSHOT_BLOCK_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES + BUFFER_SLACK_BYTES
    writer.buffer = <char*> malloc(writer.capacity)
    writer.apart_capacity = APARTS_MIN * 2
    writer.aparts = <Apart*> malloc(writer.apart_capacity * sizeof(Apart))
    if writer.buffer == NULL or writer.aparts == NULL:
        snapshot_writer_free(writer)
        return NULL
    return writer


cdef void snapshot_writer_free(SnapshotWriter* writer) noexcept nogil:
    free(writer.buffer)
    free(writer.aparts)
    free(writer)


# --- copying

cdef inline bint make_room(SnapshotWriter* writer, size_t bytes) noexcept nogil:
    """Room for `bytes` in the buffer, and for two more pieces apart."""
    cdef char* buffer
    cdef Apart* aparts
    if writer.capacity - writer.size < bytes:
        buffer = <char*> realloc(writer.buffer, (writer.capacity + bytes) * 2)
        if buffer == NULL:
            return False
        writer.buffer = buffer
        writer.capacity = (writer.capacity + bytes) * 2
    if writer.apart_capacity - writer.apart_count < 2:
        aparts = <Apart*> realloc(writer.aparts, writer.apart_capacity * 2 * sizeof(Apart))
        if aparts == NULL:
            return False
        writer.aparts = aparts
        writer.apart_capacity *= 2
    return True


cdef inline void take_bytes(SnapshotWriter* writer, const Bytes* bytes) noexcept nogil:
    """Copies the bytes, or notes them when they are large and stand apart. REQUIRES: make_room has been called."""
    cdef Apart* apart
    if bytes.block == NULL or bytes.size < SNAPSHOT_APART_BYTES:
        if bytes.size:
            memcpy(writer.buffer + writer.size, bytes.data, bytes.size)
        writer.size += bytes.size
        return
    apart = &writer.aparts[writer.apart_count]
    writer.apart_count += 1
    apart.at = writer.size
    apart.data = bytes.data
    apart.size = bytes.size
    apart.block = NULL
    writer.apart_bytes += bytes.size
    if not writer.plan.quiet:        # in a forked child, a count would only cost a copy of its page
        apart.block = bytes.block
        block_retain(bytes.block)


cdef inline bint take_entry(SnapshotWriter* writer, const Entry* entry) noexcept nogil:
    cdef Bytes key = entry_key(entry)
    cdef Bytes value = entry_value(entry)
    cdef char* at
    cdef size_t room = OPERATION_HEAD_MAX
    room += key.size if key.size < SNAPSHOT_APART_BYTES or key.block == NULL else 0
    room += value.size if value.size < SNAPSHOT_APART_BYTES or value.block == NULL else 0
    if not make_room(writer, room):
        return False
    at = entry_head_write(writer.buffer + writer.size, entry_type(entry), entry_expire_ms(entry),
                          entry_flags(entry) & ENTRY_EDITED != 0, key.size, value.size)
    writer.size = <size_t> (at - writer.buffer)
    take_bytes(writer, &key)
    take_bytes(writer, &value)
    writer.count += 1
    return True


cdef inline bint block_full(const SnapshotWriter* writer) noexcept nogil:
    return writer.size + writer.apart_bytes >= SNAPSHOT_BLOCK_HEADER_BYTES + SNAPSHOT_BLOCK_BYTES or \
        writer.apart_count >= APARTS_MIN


cdef Step take_slots(SnapshotWriter* writer, const Partition* partition, uint64_t* bits) noexcept nogil:
    """Copies entries from *bits on, until the block is full or the hold long enough; *bits is then where to go on."""
    cdef const Slot* slot = table_from(&partition.table, bits[0])
    cdef const Slot* ahead = slot
    cdef size_t size_max = writer.size + SNAPSHOT_HOLD_BYTES
    cdef uint32_t slots = 0
    cdef uint32_t last
    for _ in range(AHEAD_SLOTS):
        if ahead != NULL:
            prefetch(arena_at(&partition.arena, ahead.handle))
            ahead = table_next(&partition.table, ahead)
    while slot != NULL:
        last = slot.bits
        if not take_entry(writer, partition_entry(partition, slot)):
            return STEP_NO_MEMORY
        slots += 1
        slot = table_next(&partition.table, slot)
        if ahead != NULL:
            prefetch(arena_at(&partition.arena, ahead.handle))
            prefetch(<const char*> arena_at(&partition.arena, ahead.handle) + 64)
            ahead = table_next(&partition.table, ahead)
        if slot != NULL and slot.bits != last and \
                (block_full(writer) or
                 not writer.plan.quiet and (slots >= SNAPSHOT_HOLD_SLOTS or writer.size >= size_max)):
            bits[0] = <uint64_t> last + 1
            return STEP_MORE
    return STEP_END


cdef Step hold(SnapshotWriter* writer, uint32_t shard, int database, uint64_t* bits,
               uint64_t reshapes) noexcept nogil:
    """One hold of the shard's lock, which the caller has: begins a block if none is open, and copies."""
    cdef const Shard* one = &writer.keyspace.shards[shard]
    cdef const Partition* partition = one.partitions[database]
    cdef uint64_t position = writer.plan.begin_position
    if one.reshapes != reshapes:
        return STEP_RESHAPED
    if not writer.plan.quiet and one.position > position:
        position = one.position
    if writer.open and position != writer.position:
        return STEP_CHANGED
    if not writer.open:
        # Every shard has a block, though an empty one: its position is that of the databases without any.
        if database != 0 and bits[0] == 0 and one.counts[database] == 0:
            return STEP_END
        writer.open = True
        writer.position = position
        writer.first = <uint32_t> bits[0]
    if partition == NULL:
        return STEP_END
    return take_slots(writer, partition, bits)


# --- writing

cdef void block_reset(SnapshotWriter* writer) noexcept nogil:
    """Forgets the block; gives up what was retained for it."""
    cdef uint32_t i
    for i in range(writer.apart_count):
        if writer.aparts[i].block != NULL:
            block_release(writer.aparts[i].block)
    writer.apart_count = 0
    writer.apart_bytes = 0
    writer.size = SNAPSHOT_BLOCK_HEADER_BYTES
    writer.count = 0
    writer.open = False


cdef uint32_t block_checksum(const SnapshotWriter* writer) noexcept nogil:
    """Of the entries, with what stands apart in its place."""
    cdef uint32_t checksum = writer.seed
    cdef size_t at = SNAPSHOT_BLOCK_HEADER_BYTES
    cdef const Apart* apart
    cdef uint32_t i
    for i in range(writer.apart_count):
        apart = &writer.aparts[i]
        checksum = crc32c(checksum, writer.buffer + at, apart.at - at)
        checksum = crc32c(checksum, apart.data, apart.size)
        at = apart.at
    return crc32c(checksum, writer.buffer + at, writer.size - at)


cdef inline int append(SnapshotWriter* writer, const char* data, size_t size) noexcept nogil:
    cdef int error = file_write_at(writer.file, data, size, writer.offset)
    writer.offset += size
    return error


cdef int block_send(SnapshotWriter* writer) noexcept nogil:
    """Writes header and entries."""
    cdef size_t at = 0
    cdef uint64_t start = writer.offset
    cdef const Apart* apart
    cdef uint32_t i
    cdef int error = 0
    for i in range(writer.apart_count):
        apart = &writer.aparts[i]
        error = append(writer, writer.buffer + at, apart.at - at)
        if error == 0:
            error = append(writer, apart.data, apart.size)
        if error != 0:
            return error
        at = apart.at
    error = append(writer, writer.buffer + at, writer.size - at)
    writer.unsynced += writer.offset - start
    if error == 0 and writer.plan.gives_way:
        file_write_back(writer.file, start, writer.offset - start)
    if error == 0 and writer.plan.sync_bytes and writer.unsynced >= writer.plan.sync_bytes:
        writer.unsynced = 0
        error = file_sync(writer.file)
    return error


cdef int block_end(SnapshotWriter* writer, uint32_t shard, int database, uint32_t last) noexcept nogil:
    """Ends the open block, whose bits go up to `last`, and writes it."""
    cdef SnapshotProgress* progress = writer.progress
    cdef BlockHeader header
    cdef int error
    invariant(writer.open and writer.first <= last)
    memset(&header, 0, sizeof(BlockHeader))
    header.checksum = block_checksum(writer)
    header.size = writer.size - SNAPSHOT_BLOCK_HEADER_BYTES + writer.apart_bytes
    header.position = writer.position
    header.count = writer.count
    header.shard = shard
    header.first = writer.first
    header.last = last
    header.database = <uint32_t> database
    header.header_checksum = crc32c(writer.seed, &header.checksum, SNAPSHOT_BLOCK_HEADER_BYTES - 4)
    memcpy(writer.buffer, &header, SNAPSHOT_BLOCK_HEADER_BYTES)
    error = block_send(writer)
    add_own_u64(&progress.keys, writer.count)
    store_relaxed_u64(&progress.bytes, writer.offset)
    add_own_u64(&progress.blocks, 1)
    if writer.position > progress.greatest_position:
        store_relaxed_u64(&progress.greatest_position, writer.position)
    block_reset(writer)
    return error


cdef void give_way(SnapshotWriter* writer) noexcept nogil:
    """Pauses if it has worked for WORK_NS, for as long. REQUIRES: no lock is held."""
    if monotonic_ns() - writer.began_ns < <uint64_t> WORK_NS:
        return
    pause_ns(WORK_NS)
    writer.began_ns = monotonic_ns()


cdef int write_database(SnapshotWriter* writer, uint32_t shard, int database, uint64_t reshapes,
                        bint* again) noexcept nogil:
    """All blocks of one database's part of a shard; *again when the shard must be begun anew."""
    cdef uint64_t bits = 0
    cdef Step step
    cdef int error = 0
    while error == 0:
        if load_relaxed_u32(&writer.progress.stop):
            return -ECANCELED
        if not writer.plan.quiet:
            shard_lock(writer.keyspace, shard, False)
        step = hold(writer, shard, database, &bits, reshapes)
        if not writer.plan.quiet:
            shard_unlock(writer.keyspace, shard, False)
        if writer.plan.gives_way:
            give_way(writer)
        if step == STEP_NO_MEMORY:
            return -ENOMEM
        if step == STEP_RESHAPED:
            again[0] = True
            return 0
        if step == STEP_END:
            return block_end(writer, shard, database, <uint32_t> -1) if writer.open else 0
        if step == STEP_CHANGED or block_full(writer):
            error = block_end(writer, shard, database, <uint32_t> (bits - 1))
    return error


cdef int write_shard(SnapshotWriter* writer, uint32_t shard) noexcept nogil:
    cdef SnapshotProgress before = writer.progress[0]
    cdef uint64_t offset = writer.offset
    cdef uint64_t reshapes
    cdef int database, error
    cdef bint again
    for _ in range(SNAPSHOT_RESTARTS_MAX):
        if not writer.plan.quiet:
            shard_lock(writer.keyspace, shard, False)
        reshapes = writer.keyspace.shards[shard].reshapes
        if not writer.plan.quiet:
            shard_unlock(writer.keyspace, shard, False)
        again = False
        for database in range(DATABASES_MAX):
            error = write_database(writer, shard, database, reshapes, &again)
            if error != 0:
                return error
            if again:
                break
        if not again:
            add_own_u64(&writer.progress.shards, 1)
            return 0
        block_reset(writer)
        writer.offset = offset
        store_relaxed_u64(&writer.progress.keys, before.keys)
        store_relaxed_u64(&writer.progress.bytes, before.bytes)
        store_relaxed_u64(&writer.progress.blocks, before.blocks)
        store_relaxed_u64(&writer.progress.greatest_position, before.greatest_position)
        add_own_u64(&writer.progress.restarts, 1)
    return -EAGAIN


cdef int write_header(SnapshotWriter* writer) noexcept nogil:
    cdef SnapshotHeader header
    memset(&header, 0, sizeof(SnapshotHeader))
    memcpy(header.magic, b"KVCYSNAP", 8)
    header.version = SNAPSHOT_VERSION
    header.begin_position = writer.plan.begin_position
    header.created_ms = writer.plan.created_ms
    memcpy(header.history, writer.plan.history, 16)
    header.shards = writer.keyspace.shard_count
    header.flags = writer.plan.flags
    header.checksum = crc32c(0, &header.begin_position, SNAPSHOT_HEADER_BYTES - 16)
    writer.seed = header.checksum
    return append(writer, <const char*> &header, SNAPSHOT_HEADER_BYTES)


cdef int write_footer(SnapshotWriter* writer) noexcept nogil:
    cdef SnapshotProgress* progress = writer.progress
    cdef SnapshotFooter footer
    cdef BlockHeader header
    cdef int error
    footer.keys = progress.keys
    footer.blocks = progress.blocks
    memset(&header, 0, sizeof(BlockHeader))
    header.size = sizeof(SnapshotFooter)
    header.position = progress.greatest_position
    header.shard = SNAPSHOT_FOOTER_SHARD
    header.checksum = crc32c(writer.seed, &footer, sizeof(SnapshotFooter))
    header.header_checksum = crc32c(writer.seed, &header.checksum, SNAPSHOT_BLOCK_HEADER_BYTES - 4)
    error = append(writer, <const char*> &header, SNAPSHOT_BLOCK_HEADER_BYTES)
    if error == 0:
        error = append(writer, <const char*> &footer, sizeof(SnapshotFooter))
    store_relaxed_u64(&progress.bytes, writer.offset)
    # A shard that was begun again may have left more behind than it then needed.
    return file_truncate(writer.file, writer.offset) if error == 0 and progress.restarts else error


cdef int snapshot_write(SnapshotWriter* writer, Keyspace* keyspace, int file, const SnapshotPlan* plan,
                        SnapshotProgress* progress) noexcept nogil:
    cdef SnapshotHeader header
    cdef BlockHeader block
    cdef SnapshotFooter footer
    cdef uint32_t shard
    cdef int error
    assert_sizes(header, block, footer)
    writer.keyspace = keyspace
    writer.file = file
    writer.plan = plan
    writer.progress = progress
    writer.offset = 0
    writer.unsynced = 0
    writer.began_ns = monotonic_ns()
    block_reset(writer)
    store_relaxed_u64(&progress.greatest_position, plan.begin_position)
    error = write_header(writer)
    for shard in range(keyspace.shard_count):
        if error != 0:
            break
        error = write_shard(writer, shard)
    if error == 0:
        error = write_footer(writer)
    block_reset(writer)
    return error
