# cython: language_level=3
"""Replaying a log with several threads: one reads and checks the records, each other applies those of its own shards.

    stream_init(...)                              workers: how many threads will call stream_work; 0: the reader applies
    stream_work(stream, number)                   in each of the threads, until the stream ends
    stream_read(stream, reader)                   in one thread: reads the log to its end, or to where it is to stop
    stream_close(stream)                          once all have returned

Every worker sees every record, in the log's order, and applies what concerns its shards (replay.pxd). A shard therefore
sees its operations in the log's order, whatever the number of workers: flushes, swaps and groups need no barrier.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.coverage cimport Coverage
from kvcy.engine.log_reader cimport LogReader
from kvcy.engine.replay cimport Replay, ReplayStatus
from kvcy.engine.shards cimport Keyspace

cdef enum:
    STREAM_CHUNKS = 8
    STREAM_WORKERS_MAX = 64

cdef struct StreamChunk:         # records one after the other: u64 position, u64 size, operations, zeros to 8 bytes
    char* data
    size_t size
    size_t capacity

cdef struct ReplayStream:
    StreamChunk chunks[STREAM_CHUNKS]
    Replay replays[STREAM_WORKERS_MAX]
    uint32_t consumed[STREAM_WORKERS_MAX]    # atomic: chunks each worker has applied
    uint32_t produced            # atomic: chunks there have been; one more when the stream has ended
    uint32_t ended               # atomic: once it has ended
    uint32_t total               # chunks there have been in all, then
    uint32_t failed              # atomic: more than 0 when `status` and `fault_position` say why, once all are done
    uint32_t stop                # atomic: set by anybody, ends the reading soon
    uint32_t workers
    ReplayStatus status
    uint64_t fault_position      # of the record that could not be applied
    uint64_t records             # read
    uint64_t position            # atomic: of the record that was read last: progress
    uint64_t log_begin           # where the log's records begin and about end: so tables can be made in time
    uint64_t log_end             # 0: not known
    uint64_t until_position      # the first position that is not to be replayed; records end at or before it
    int64_t until_ms             # records with a later time are not to be replayed, nor what follows them
    bint until_reached           # reading stopped before such a record, which is in reader.record

# REQUIRES: workers <= STREAM_WORKERS_MAX. `now_ms` as in replay_init. False: no memory; to be closed nevertheless.
cdef bint stream_init(ReplayStream* stream, Keyspace* keyspace, const Coverage* coverage, uint32_t workers,
                      int64_t now_ms) noexcept nogil
cdef void stream_work(ReplayStream* stream, uint32_t number) noexcept nogil
cdef void stream_read(ReplayStream* stream, LogReader* reader) noexcept nogil
cdef void stream_close(ReplayStream* stream) noexcept nogil
