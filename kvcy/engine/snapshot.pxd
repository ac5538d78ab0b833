# cython: language_level=3
"""Snapshots: the file and its writer. The format is in docs/durability.md; the loader is in snapshot_load.pxd.

Two ways share all of the code. *Quiet*: nobody changes the keyspace (a forked child, a shutdown), nothing is locked,
every block stands at the plan's position. *In process*: a part of a shard is copied under its shared lock and written
without it, so blocks stand at different positions and the log must be replayed on top (coverage.pxd). Large keys and
values are not copied: their blocks are retained until they are written. Entries that have expired are written like
others: whether they are gone is for the log to say, whatever clocks do.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.block cimport Block
from kvcy.engine.shards cimport Keyspace

cdef enum:
    SNAPSHOT_VERSION = 1
    SNAPSHOT_HEADER_BYTES = 128
    SNAPSHOT_BLOCK_HEADER_BYTES = 48
    SNAPSHOT_BLOCK_BYTES = 262144        # a block is ended when its entries have more
    SNAPSHOT_HOLD_BYTES = 65536          # and a hold of a lock when so much was copied,
    SNAPSHOT_HOLD_SLOTS = 1000           # or so many entries were met
    SNAPSHOT_APART_BYTES = 16384         # a larger key or value in a block of its own is not copied
    SNAPSHOT_RESTARTS_MAX = 1000         # of one shard, because its databases were flushed or swapped

cdef extern from *:
    """
    #define KVCY_FOOTER_SHARD  0xFFFFFFFFu
    """
    const uint32_t SNAPSHOT_FOOTER_SHARD "KVCY_FOOTER_SHARD"

cdef enum SnapshotFlags:
    SNAPSHOT_UNLOGGED = 1                # it holds changes that are in no log
    SNAPSHOT_BASED = 2                   # the log alone, from position 0, does not lead to it

cdef struct SnapshotHeader:              # of the file, as it lies there
    char magic[8]
    uint32_t version
    uint32_t checksum                    # of what follows; all checksums of blocks continue from it
    uint64_t begin_position
    int64_t created_ms
    char history[16]
    uint32_t shards
    uint32_t flags                       # SnapshotFlags
    uint32_t reserved[18]

cdef struct BlockHeader:                 # as it lies in the file
    uint32_t header_checksum             # of what follows, to the end of the header
    uint32_t checksum                    # of the entries
    uint64_t size                        # of the entries
    uint64_t position
    uint32_t count
    uint32_t shard
    uint32_t first
    uint32_t last
    uint32_t database
    uint32_t reserved

cdef struct SnapshotFooter:              # in the place of the entries of the last block
    uint64_t keys
    uint64_t blocks                      # without the footer

cdef struct SnapshotPlan:
    char history[16]
    uint64_t begin_position              # the log's end. REQUIRES: read before any lock is taken for the snapshot
    int64_t created_ms
    uint32_t flags                       # SnapshotFlags
    bint quiet
    uint64_t sync_bytes                  # sync the file each time so much was written; 0: leave that to the caller
    bint gives_way                       # pause as long as was worked, often: others may share the processor

cdef struct SnapshotProgress:            # zeroed at first; read while the snapshot is written (relaxed)
    uint64_t keys
    uint64_t bytes
    uint64_t shards
    uint64_t blocks
    uint64_t restarts                    # of shards
    uint64_t greatest_position           # of all blocks: at the end, where the log must be durable to
    uint32_t stop                        # set by another thread: end with -ECANCELED

cdef struct Apart:                       # bytes that are not in the writer's buffer
    size_t at                            # they come before the buffer's byte `at`
    const char* data
    size_t size
    Block* block                         # retained; NULL: borrowed (quiet)

cdef struct SnapshotWriter:              # made before a fork: the child need not allocate as a rule
    char* buffer                         # block header, then the entries but for what stands apart
    size_t size
    size_t capacity
    Apart* aparts
    uint32_t apart_count
    uint32_t apart_capacity
    uint64_t apart_bytes
    Keyspace* keyspace
    int file
    const SnapshotPlan* plan
    SnapshotProgress* progress
    uint32_t seed                        # the file header's checksum
    uint64_t offset                      # of the next block in the file
    uint64_t unsynced
    uint64_t began_ns                    # to work, after the last pause (monotonic)
    bint open                            # a block has been begun: the next three say what it is
    uint64_t position
    uint32_t first
    uint32_t count

cdef SnapshotWriter* snapshot_writer_new() noexcept nogil            # NULL: no memory
cdef void snapshot_writer_free(SnapshotWriter* writer) noexcept nogil
# Writes all databases to the empty `file`: 0 or a negative errno; -ECANCELED when stopped, -EAGAIN when a shard was
# flushed or swapped too often. The file is then of no use. It is complete when 0 is answered, and not synced.
# REQUIRES: no shard lock is held by the caller; in process, that every change is logged.
cdef int snapshot_write(SnapshotWriter* writer, Keyspace* keyspace, int file, const SnapshotPlan* plan,
                        SnapshotProgress* progress) noexcept nogil
