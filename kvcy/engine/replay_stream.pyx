# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Replaying a log with several threads: see replay_stream.pxd.

The chunks are a ring. The reader waits for a chunk until every worker is done with it; a worker that met a fault goes
on taking chunks without applying them, so that nobody waits for it.
"""
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from kvcy.engine.futex cimport (
    add_ordered_u32, futex_wait, futex_wake, load_ordered_u32, store_ordered_u32)
from kvcy.engine.log_reader cimport LOG_RECORD, reader_next
from kvcy.engine.platform cimport add_acq_rel_u32, invariant, load_relaxed_u32, store_relaxed_u64
from kvcy.engine.replay cimport (
    REPLAY_NO_MEMORY, REPLAYED, replay_init, replay_record, replay_reserve, replay_settle, replay_trim)

cdef enum:
    CHUNK_BYTES = 131072             # stays in a processor's second-level cache between reader and worker
    CHUNK_BYTES_KEPT = 4194304       # a chunk that grew beyond, for a large record, is freed after use
    RECORD_HEAD_BYTES = 16


cdef bint stream_init(ReplayStream* stream, Keyspace* keyspace, const Coverage* coverage, uint32_t workers,
                      int64_t now_ms) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t parts = workers if workers else 1
    invariant(workers <= STREAM_WORKERS_MAX)
    memset(stream, 0, sizeof(ReplayStream))
    stream.workers = workers
    stream.status = REPLAYED
    stream.until_position = <uint64_t> -1
    stream.until_ms = (<uint64_t> -1) >> 1
    for i in range(parts):
        replay_init(&stream.replays[i], keyspace, coverage, i, parts, now_ms)
    for i in range(STREAM_CHUNKS if workers else 1):
        if not chunk_room(&stream.chunks[i], CHUNK_BYTES):
            return False
    return True


cdef void stream_close(ReplayStream* stream) noexcept nogil:
    cdef int i
    for i in range(STREAM_CHUNKS):
        free(stream.chunks[i].data)
        stream.chunks[i].data = NULL


cdef void fail(ReplayStream* stream, ReplayStatus status, uint64_t position) noexcept nogil:
    """Notes the first fault."""
    if add_acq_rel_u32(&stream.failed, 1) == 1:
        stream.status = status
        stream.fault_position = position


# --- chunks

cdef bint chunk_room(StreamChunk* chunk, size_t bytes) noexcept nogil:
    """Room for `bytes` more."""
    cdef char* data
    if bytes <= chunk.capacity - chunk.size:
        return True
    data = <char*> realloc(chunk.data, chunk.size + bytes)
    if data == NULL:
        return False
    chunk.data = data
    chunk.capacity = chunk.size + bytes
    return True


cdef void chunk_clear(StreamChunk* chunk) noexcept nogil:
    chunk.size = 0
    if chunk.capacity > CHUNK_BYTES_KEPT:
        free(chunk.data)
        chunk.data = NULL
        chunk.capacity = 0


cdef bint chunk_fill(ReplayStream* stream, LogReader* reader, StreamChunk* chunk) noexcept nogil:
    """Reads records into an empty chunk; false: they were the last ones."""
    cdef uint64_t head[2]
    cdef size_t space
    while chunk.size < CHUNK_BYTES:
        if load_relaxed_u32(&stream.stop) or load_relaxed_u32(&stream.failed) or reader_next(reader) != LOG_RECORD:
            return False
        if reader.record.end > stream.until_position or reader.record.time_ms > stream.until_ms:
            stream.until_reached = True
            return False
        space = RECORD_HEAD_BYTES + ((reader.record.size + 7) & ~<size_t> 7)
        if not chunk_room(chunk, space):
            fail(stream, REPLAY_NO_MEMORY, reader.record.position)
            return False
        head[0] = reader.record.position
        head[1] = reader.record.size
        memcpy(chunk.data + chunk.size, head, RECORD_HEAD_BYTES)
        memcpy(chunk.data + chunk.size + RECORD_HEAD_BYTES, reader.record.operations, reader.record.size)
        chunk.size += space
        stream.records += 1
    return True


cdef void chunk_apply(ReplayStream* stream, Replay* replay, const StreamChunk* chunk) noexcept nogil:
    cdef const char* at = chunk.data
    cdef const char* end = at + chunk.size
    cdef uint64_t head[2]
    cdef ReplayStatus status
    if at < end and stream.log_end:
        memcpy(head, at, RECORD_HEAD_BYTES)
        replay_reserve(replay, head[0] - stream.log_begin, stream.log_end - stream.log_begin)
    while at < end:
        memcpy(head, at, RECORD_HEAD_BYTES)
        status = replay_record(replay, at + RECORD_HEAD_BYTES, head[1], head[0])
        if status != REPLAYED:
            fail(stream, status, replay.fault_position)
            return
        at += RECORD_HEAD_BYTES + ((head[1] + 7) & ~<uint64_t> 7)
    status = replay_settle(replay)
    if status != REPLAYED:
        fail(stream, status, replay.fault_position)


# --- the threads

cdef void stream_work(ReplayStream* stream, uint32_t number) noexcept nogil:
    cdef uint32_t turn = 0
    cdef uint32_t produced
    invariant(number < stream.workers)
    while True:
        produced = load_ordered_u32(&stream.produced)
        if produced == turn:
            futex_wait(&stream.produced, produced, -1)
            continue
        if load_ordered_u32(&stream.ended) and turn == stream.total:
            replay_trim(&stream.replays[number])
            return
        if load_relaxed_u32(&stream.failed) == 0:
            chunk_apply(stream, &stream.replays[number], &stream.chunks[turn % STREAM_CHUNKS])
        turn += 1
        store_ordered_u32(&stream.consumed[number], turn)
        futex_wake(&stream.consumed[number])


cdef void await_chunk(ReplayStream* stream, uint32_t turn) noexcept nogil:
    """Waits until no worker needs what the chunk of this turn held before."""
    cdef uint32_t number, consumed
    for number in range(stream.workers):
        consumed = load_ordered_u32(&stream.consumed[number])
        while turn - consumed >= STREAM_CHUNKS:
            futex_wait(&stream.consumed[number], consumed, -1)
            consumed = load_ordered_u32(&stream.consumed[number])


cdef void stream_read(ReplayStream* stream, LogReader* reader) noexcept nogil:
    cdef StreamChunk* chunk
    cdef uint32_t turn = 0
    cdef bint more = True
    while more:
        chunk = &stream.chunks[turn % STREAM_CHUNKS if stream.workers else 0]
        await_chunk(stream, turn)
        chunk_clear(chunk)
        more = chunk_fill(stream, reader, chunk)
        store_relaxed_u64(&stream.position, reader.position)
        if stream.workers == 0:
            chunk_apply(stream, &stream.replays[0], chunk)
            continue
        turn += 1
        add_ordered_u32(&stream.produced, 1)
        futex_wake(&stream.produced)
    if stream.workers == 0:
        replay_trim(&stream.replays[0])
    stream.total = turn
    store_ordered_u32(&stream.ended, 1)
    add_ordered_u32(&stream.produced, 1)
    futex_wake(&stream.produced)
