# cython: language_level=3
"""Reading snapshots: what is damaged is found before anything of it is used.

`snapshot_open` reads the headers of file and blocks, checks that they follow one another as they must, and makes the
index. Then any number of threads call `snapshot_load` on the same SnapshotFile, each taking one shard after the other:
it checks a block's bytes, then every entry, and that it belongs where it stands. The file is read, not mapped: a disk's
error is an error, and no signal.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.coverage cimport Coverage
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.snapshot cimport SnapshotHeader

cdef enum SnapshotFault:                 # a positive SnapshotFile.error
    SNAPSHOT_DAMAGED = 1
    SNAPSHOT_UNKNOWN = 2                 # another version's: it may be whole
    SNAPSHOT_MISFIT = 3                  # whole, but not of this keyspace: another number of shards

cdef struct SnapshotFile:
    int file                             # borrowed
    uint64_t file_bytes
    SnapshotHeader header                # as read: begin_position, created_ms, history, shards
    Coverage coverage
    uint64_t keys
    uint32_t next_shard                  # atomic: the first that no thread has taken
    uint64_t loaded_keys                 # atomic: progress
    uint64_t loaded_bytes
    uint32_t failed                      # atomic: more than 0 when the next three say why, once all threads are done
    int error                            # a negative errno or a SnapshotFault; 0: none
    uint64_t error_offset                # in the file
    const char* error_reason

# Zeroes and fills `snapshot`, which is to be closed whatever is answered. False: see snapshot.error.
cdef bint snapshot_open(SnapshotFile* snapshot, int file) noexcept nogil
cdef void snapshot_close(SnapshotFile* snapshot) noexcept nogil          # not the file
# Loads shards until none is left; false when this or another thread met a fault: then the keyspace is of no use.
# `now_ms` becomes the entries' access time. A keyspace of NULL: only checks.
# REQUIRES: the keyspace was made with the hash key of the snapshot's history, is empty, and has no other user.
cdef bint snapshot_load(SnapshotFile* snapshot, Keyspace* keyspace, int64_t now_ms) noexcept nogil
# Reads the block with this number and checks it: its entries, for entry_next, in *buffer of *capacity bytes, which
# grows as needed and is freed by the caller. NULL: see snapshot.error.
cdef const char* snapshot_block(SnapshotFile* snapshot, uint64_t number, char** buffer, size_t* capacity) noexcept nogil
