# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reading snapshots: see snapshot_load.pxd.

Loading goes below the typed operations, to the partitions: entries come in hash order into tables of the right size,
and a key can be there already only if it has the bits of the one before it. Nothing is counted as a change.
"""
from libc.errno cimport ENOMEM
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset

from kvcy.engine.checksum cimport crc32c
from kvcy.engine.coverage cimport Extent, coverage_add, coverage_close, coverage_index
from kvcy.engine.entry cimport TYPE_STRING
from kvcy.engine.files cimport file_read_at, file_size
from kvcy.engine.fill cimport Fill, fill_add, fill_begin, fill_end
from kvcy.engine.operations cimport DECODED_END, DECODED_ONE, Decoded, Operation, entry_next, entry_plain
from kvcy.engine.partition cimport EntryPlan, Partition, partition_add, partition_find, partition_new
from kvcy.engine.platform cimport (
    add_acq_rel_u32, add_own_u64, add_relaxed_u32, add_relaxed_u64, likely, load_relaxed_u32, unlikely)
from kvcy.engine.shards cimport DATABASES_MAX, SHARDS_MAX, Key, Shard, keyspace_key, store_partition
from kvcy.engine.snapshot cimport (
    SNAPSHOT_BLOCK_HEADER_BYTES, SNAPSHOT_FOOTER_SHARD, SNAPSHOT_HEADER_BYTES, SNAPSHOT_VERSION, BlockHeader,
    SnapshotFooter)
from kvcy.engine.table cimport table_reserve_all

cdef enum:
    ENTRY_BYTES_MIN = 4                  # type, flags, two lengths
    BUFFER_BYTES_KEPT = 4194304          # a buffer that grew beyond is freed after use


cdef bint fail(SnapshotFile* snapshot, int error, uint64_t offset, const char* reason) noexcept nogil:
    """Notes the first fault. Always false."""
    if add_acq_rel_u32(&snapshot.failed, 1) == 1:
        snapshot.error = error
        snapshot.error_offset = offset
        snapshot.error_reason = reason
    return False


cdef bint damaged(SnapshotFile* snapshot, uint64_t offset, const char* reason) noexcept nogil:
    return fail(snapshot, SNAPSHOT_DAMAGED, offset, reason)


cdef bint read_all(SnapshotFile* snapshot, void* data, size_t size, uint64_t offset) noexcept nogil:
    cdef int64_t got
    if offset > snapshot.file_bytes or size > snapshot.file_bytes - offset:
        return damaged(snapshot, snapshot.file_bytes, "the file ends in the middle")
    got = file_read_at(snapshot.file, data, size, offset)
    if got < 0:
        return fail(snapshot, <int> got, offset, "reading failed")
    if <size_t> got < size:
        return damaged(snapshot, offset + <uint64_t> got, "the file ends in the middle")
    return True


# --- the index

cdef bint read_header(SnapshotFile* snapshot) noexcept nogil:
    cdef SnapshotHeader* header = &snapshot.header
    if not read_all(snapshot, header, SNAPSHOT_HEADER_BYTES, 0):
        return False
    if memcmp(header.magic, b"KVCYSNAP", 8) != 0:
        return damaged(snapshot, 0, "this is no snapshot: it does not begin with KVCYSNAP")
    if header.version != SNAPSHOT_VERSION:
        return fail(snapshot, SNAPSHOT_UNKNOWN, 8, "the format is of a version this kvcy does not know")
    if header.checksum != crc32c(0, &header.begin_position, SNAPSHOT_HEADER_BYTES - 16):
        return damaged(snapshot, 12, "the header's checksum is wrong")
    if header.shards == 0 or header.shards > SHARDS_MAX or header.shards & (header.shards - 1):
        return damaged(snapshot, 48, "the number of shards is impossible")
    return True


cdef bint read_block_header(SnapshotFile* snapshot, BlockHeader* header, uint64_t offset) noexcept nogil:
    if not read_all(snapshot, header, SNAPSHOT_BLOCK_HEADER_BYTES, offset):
        return False
    if header.header_checksum != crc32c(snapshot.header.checksum, &header.checksum, SNAPSHOT_BLOCK_HEADER_BYTES - 4):
        return damaged(snapshot, offset, "the checksum of a block's header is wrong")
    if header.size > snapshot.file_bytes - offset - SNAPSHOT_BLOCK_HEADER_BYTES:
        return damaged(snapshot, offset, "a block is longer than the file")
    return True


cdef const char* misplaced(const SnapshotFile* snapshot, const BlockHeader* header) noexcept nogil:
    """Why this block cannot follow the one before it; NULL: it can."""
    cdef const Coverage* coverage = &snapshot.coverage
    cdef const Extent* before = NULL
    if coverage.count:
        before = &coverage.extents[coverage.count - 1]
    if header.shard >= snapshot.header.shards or header.database >= DATABASES_MAX:
        return "a block is of no shard or no database"
    if header.first > header.last or header.count > header.size // ENTRY_BYTES_MIN:
        return "the header of a block contradicts itself"
    if header.position < snapshot.header.begin_position:
        return "a block is older than the snapshot"
    if before != NULL and before.shard == header.shard and before.database == header.database:
        if before.last == <uint32_t> -1 or header.first != before.last + 1:
            return "a block is missing"
        return NULL
    if header.first != 0 or before != NULL and before.last != <uint32_t> -1:
        return "a block is missing"
    if before != NULL and before.shard == header.shard:
        if before.database > header.database:
            return "a block is out of order"
        return NULL
    if header.database != 0 or header.shard != (0 if before == NULL else before.shard + 1):
        return "a shard's first block is missing"
    return NULL


cdef bint take_extent(SnapshotFile* snapshot, const BlockHeader* header, uint64_t offset) noexcept nogil:
    cdef Extent extent
    cdef const char* reason = misplaced(snapshot, header)
    if reason != NULL:
        return damaged(snapshot, offset, reason)
    extent.offset = offset
    extent.size = header.size
    extent.position = header.position
    extent.checksum = header.checksum
    extent.count = header.count
    extent.shard = header.shard
    extent.database = header.database
    extent.first = header.first
    extent.last = header.last
    snapshot.keys += header.count
    return coverage_add(&snapshot.coverage, &extent) or fail(snapshot, -ENOMEM, offset, "no memory for the index")


cdef bint take_footer(SnapshotFile* snapshot, const BlockHeader* header, uint64_t offset) noexcept nogil:
    cdef SnapshotFooter footer
    cdef uint64_t count = snapshot.coverage.count
    if header.size != sizeof(SnapshotFooter):
        return damaged(snapshot, offset, "the footer has a wrong size")
    if not read_all(snapshot, &footer, sizeof(SnapshotFooter), offset + SNAPSHOT_BLOCK_HEADER_BYTES):
        return False
    if header.checksum != crc32c(snapshot.header.checksum, &footer, sizeof(SnapshotFooter)):
        return damaged(snapshot, offset, "the footer's checksum is wrong")
    if footer.blocks != count or footer.keys != snapshot.keys or header.position != snapshot.coverage.greatest:
        return damaged(snapshot, offset, "the footer contradicts the blocks")
    if count == 0 or snapshot.coverage.extents[count - 1].shard != snapshot.header.shards - 1 or \
            snapshot.coverage.extents[count - 1].last != <uint32_t> -1:
        return damaged(snapshot, offset, "the last blocks are missing")
    if offset + SNAPSHOT_BLOCK_HEADER_BYTES + sizeof(SnapshotFooter) != snapshot.file_bytes:
        return damaged(snapshot, offset, "something follows the footer")
    return coverage_index(&snapshot.coverage, snapshot.header.shards) or \
        fail(snapshot, -ENOMEM, offset, "no memory for the index")


cdef bint snapshot_open(SnapshotFile* snapshot, int file) noexcept nogil:
    cdef int64_t size = file_size(file)
    cdef uint64_t offset = SNAPSHOT_HEADER_BYTES
    cdef BlockHeader header
    memset(snapshot, 0, sizeof(SnapshotFile))
    snapshot.file = file
    if size < 0:
        return fail(snapshot, <int> size, 0, "the file's size is not to be had")
    snapshot.file_bytes = <uint64_t> size
    if not read_header(snapshot):
        return False
    snapshot.coverage.begin = snapshot.header.begin_position
    snapshot.coverage.greatest = snapshot.header.begin_position
    while True:                          # ends: each turn goes farther, and behind the file there is nothing to read
        if not read_block_header(snapshot, &header, offset):
            return False
        if header.shard == SNAPSHOT_FOOTER_SHARD:
            return take_footer(snapshot, &header, offset)
        if not take_extent(snapshot, &header, offset):
            return False
        offset += SNAPSHOT_BLOCK_HEADER_BYTES + header.size


cdef void snapshot_close(SnapshotFile* snapshot) noexcept nogil:
    coverage_close(&snapshot.coverage)


# --- the entries

cdef const char* snapshot_block(SnapshotFile* snapshot, uint64_t number, char** buffer,
                                size_t* capacity) noexcept nogil:
    cdef const Extent* extent = &snapshot.coverage.extents[number]
    cdef uint64_t offset = extent.offset + SNAPSHOT_BLOCK_HEADER_BYTES
    if buffer[0] == NULL or capacity[0] < extent.size or \
            capacity[0] > BUFFER_BYTES_KEPT and extent.size <= BUFFER_BYTES_KEPT:
        free(buffer[0])
        capacity[0] = extent.size + 1
        buffer[0] = <char*> malloc(capacity[0])
        if buffer[0] == NULL:
            capacity[0] = 0
            fail(snapshot, -ENOMEM, offset, "no memory for a block")
            return NULL
    if not read_all(snapshot, buffer[0], extent.size, offset):
        return NULL
    if extent.checksum != crc32c(snapshot.header.checksum, buffer[0], extent.size):
        damaged(snapshot, offset, "a block's checksum is wrong")
        return NULL
    return buffer[0]


cdef inline bint is_plain(const Operation* entry) noexcept nogil:
    return entry.expire_ms == 0 and not entry.edited and entry.value == entry.key + entry.key_size


cdef inline const char* load_entry(Keyspace* keyspace, Fill* fill, const Extent* extent, const Operation* entry,
                                   uint64_t* least) noexcept nogil:
    """NULL, or what is wrong with it: none of this happens to a file that was written rightly. *least: the bits before
    it. An empty reason: no memory."""
    cdef Key key = keyspace_key(keyspace, entry.key, entry.key_size)
    if key.shard != extent.shard or key.bits < extent.first or key.bits > extent.last or key.bits < least[0]:
        return "a key is not where its hash would put it"
    if key.bits == least[0] and partition_find(fill.partition, key.bits, key.data, key.size) != NULL:
        return "a key is there twice"
    least[0] = key.bits
    if likely(is_plain(entry)) and fill_add(fill, key.bits, entry.key, entry.key_size, entry.value_size):
        return NULL
    if not add_any(fill, key.bits, entry):
        return ""
    return NULL


cdef bint add_any(Fill* fill, uint32_t bits, const Operation* entry) noexcept nogil:
    """What fill_add does not take. False: no memory."""
    cdef EntryPlan plan
    plan.key = entry.key
    plan.key_size = entry.key_size
    plan.value.data = entry.value
    plan.value.size = entry.value_size
    plan.value.block = NULL
    plan.expire_ms = entry.expire_ms
    plan.type = entry.type
    plan.edited = entry.edited
    plan.access = fill.access
    fill.before = NULL
    return partition_add(fill.partition, bits, &plan)


cdef bint load_entries(SnapshotFile* snapshot, Keyspace* keyspace, Fill* fill, const Extent* extent, const char* at,
                       uint32_t* expiring) noexcept nogil:
    cdef const char* end = at + extent.size
    cdef Operation entry
    cdef Decoded decoded = DECODED_ONE
    cdef uint64_t least = extent.first
    cdef uint32_t count = 0
    cdef const char* reason
    while True:                          # ends: each turn takes an entry
        if not entry_plain(&at, end, &entry):
            decoded = entry_next(&at, end, &entry)
        if decoded != DECODED_ONE or count == extent.count:
            break
        if entry.type != TYPE_STRING:
            return fail(snapshot, SNAPSHOT_UNKNOWN, extent.offset, "a value is of a type this kvcy does not know")
        count += 1
        expiring[0] += entry.expire_ms != 0
        if keyspace != NULL:
            reason = load_entry(keyspace, fill, extent, &entry, &least)
            if unlikely(reason != NULL and reason[0] == 0):
                return fail(snapshot, -ENOMEM, extent.offset, "no memory for the keys")
            if unlikely(reason != NULL):
                return damaged(snapshot, extent.offset, reason)
    if decoded != DECODED_END or count != extent.count:
        return damaged(snapshot, extent.offset, "a block does not hold the entries its header promises")
    return True


cdef bint load_block(SnapshotFile* snapshot, Keyspace* keyspace, const Extent* extent, const char* entries,
                     uint32_t access) noexcept nogil:
    cdef Shard* shard
    cdef Fill fill
    cdef uint32_t expiring = 0
    cdef bint loaded
    if keyspace == NULL:
        loaded = load_entries(snapshot, NULL, NULL, extent, entries, &expiring)
    else:
        shard = &keyspace.shards[extent.shard]
        fill_begin(&fill, shard.partitions[extent.database], access)
        loaded = load_entries(snapshot, keyspace, &fill, extent, entries, &expiring)
        fill_end(&fill)
    if not loaded:
        return False
    if keyspace != NULL:
        add_own_u64(&shard.counts[extent.database], extent.count)
        add_own_u64(&shard.volatile_counts[extent.database], expiring)
    add_relaxed_u64(&snapshot.loaded_keys, extent.count)
    add_relaxed_u64(&snapshot.loaded_bytes, extent.size)
    return True


cdef bint make_partitions(SnapshotFile* snapshot, Keyspace* keyspace, uint32_t shard) noexcept nogil:
    """The shard's partitions, with tables of the size they will need."""
    cdef const Coverage* coverage = &snapshot.coverage
    cdef uint64_t[16] counts             # DATABASES_MAX
    cdef Partition** place
    cdef uint64_t i
    cdef int database
    memset(counts, 0, sizeof(counts))
    for i in range(coverage.starts[shard], coverage.starts[shard + 1]):
        counts[coverage.extents[i].database] += coverage.extents[i].count
    for database in range(DATABASES_MAX):
        if counts[database] == 0:
            continue
        place = &keyspace.shards[shard].partitions[database]
        if place[0] == NULL:
            store_partition(place, partition_new(&keyspace.pool, NULL))
        if place[0] == NULL or not table_reserve_all(&place[0].table, counts[database]):
            return fail(snapshot, -ENOMEM, coverage.extents[coverage.starts[shard]].offset, "no memory for a table")
    return True


cdef bint snapshot_load(SnapshotFile* snapshot, Keyspace* keyspace, int64_t now_ms) noexcept nogil:
    cdef const Coverage* coverage = &snapshot.coverage
    cdef char* buffer = NULL
    cdef size_t capacity = 0
    cdef const char* entries
    cdef uint32_t shard
    cdef uint64_t i
    if keyspace != NULL and keyspace.shard_count != snapshot.header.shards:
        return fail(snapshot, SNAPSHOT_MISFIT, 48, "the snapshot is of a keyspace with another number of shards")
    while load_relaxed_u32(&snapshot.failed) == 0:
        shard = add_relaxed_u32(&snapshot.next_shard, 1) - 1
        if shard >= snapshot.header.shards:
            break
        if keyspace != NULL and not make_partitions(snapshot, keyspace, shard):
            break
        for i in range(coverage.starts[shard], coverage.starts[shard + 1]):
            if load_relaxed_u32(&snapshot.failed) != 0:
                break
            entries = snapshot_block(snapshot, i, &buffer, &capacity)
            if entries == NULL or \
                    not load_block(snapshot, keyspace, &coverage.extents[i], entries, <uint32_t> (now_ms >> 2)):
                break
    free(buffer)
    return load_relaxed_u32(&snapshot.failed) == 0
