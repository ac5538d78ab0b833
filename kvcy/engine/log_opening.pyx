# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Opening the log of a directory. See log_opening.pxd."""
from libc.errno cimport ENOENT, ENOMEM
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.files cimport (
    directory_sync, file_close, file_read_at, file_size, file_sync, file_write_at, file_write_zeros,
)
from kvcy.engine.log cimport LOG_RING_BYTES, log_free, log_new
from kvcy.engine.log_format cimport SEGMENT_HEADER_BYTES, place_in_file
from kvcy.engine.log_segment cimport history_seed, segment_make, segment_open, segments_remove_from
from kvcy.engine.platform cimport invariant


cdef int write_again(Log* log, uint64_t begin, uint64_t end) noexcept nogil:
    """Reads and writes what lies between, by way of the ring, and syncs it."""
    cdef const char* reason = NULL
    cdef uint64_t segment_end, size
    cdef int64_t got
    cdef int answer = 0
    cdef int file
    while begin < end and answer >= 0:
        segment_end = (begin // log.segment_bytes + 1) * log.segment_bytes
        if segment_end > end:
            segment_end = end
        file = segment_open(
            log.directory, begin // log.segment_bytes, log.segment_bytes, log.history, True, &reason)
        if file < 0:
            return file
        while begin < segment_end and answer >= 0:
            size = segment_end - begin
            if size > log.first.bytes:
                size = log.first.bytes
            got = file_read_at(file, log.first.data, size, place_in_file(begin, log.segment_bytes))
            answer = <int> got if got < 0 else file_write_at(
                file, log.first.data, <size_t> got, place_in_file(begin, log.segment_bytes))
            begin += size
        if answer == 0:
            answer = file_sync(file)
        file_close(file)
    return answer


cdef int open_segment(Log* log, uint64_t position, bint erase) noexcept nogil:
    """Opens or makes the segment of `position`, at its full size, and erases its rest if that is wanted."""
    cdef uint64_t rest = log.segment_bytes - position % log.segment_bytes
    cdef const char* reason = NULL
    cdef int64_t size
    cdef int answer
    log.segment = position // log.segment_bytes
    log.file = segment_open(log.directory, log.segment, log.segment_bytes, log.history, True, &reason)
    if log.file == -ENOENT and rest == log.segment_bytes:
        log.file = segment_make(log.directory, log.segment, log.segment_bytes, log.history)
    if log.file < 0:
        return log.file
    size = file_size(log.file)
    if size < 0:
        return <int> size
    if erase or size != <int64_t> (SEGMENT_HEADER_BYTES + log.segment_bytes):
        answer = file_write_zeros(log.file, rest, place_in_file(position, log.segment_bytes))
        if answer < 0:
            return answer
    answer = file_sync(log.file)
    return answer if answer < 0 else directory_sync(log.directory)


cdef Log* log_open(const LogOptions* options, int* error) noexcept nogil:
    cdef Log* log = log_new(options.ring_bytes if options.ring_bytes != 0 else <uint64_t> LOG_RING_BYTES)
    invariant(options.segment_bytes > 0 and options.segment_bytes % 4096 == 0)
    invariant(options.durable <= options.position and options.position % 8 == 0)
    if log == NULL:
        error[0] = ENOMEM
        return NULL
    log.directory = options.directory
    log.segment_bytes = options.segment_bytes
    memcpy(log.history, options.history, 16)
    log.seed = history_seed(options.history)
    log.policy = options.policy
    log.now_ns = options.now_ns if options.now_ns != NULL else monotonic_ns
    log.began = log.appended = log.filled = log.taken = log.written = log.durable = options.position
    log.boundary = log.synced = options.position
    log.vouched = options.durable
    log.file = log.next_file = -1
    error[0] = -segments_remove_from(log.directory, options.position // options.segment_bytes + 1)
    if error[0] == 0:
        error[0] = -write_again(log, options.durable, options.position)
    if error[0] == 0:
        error[0] = -open_segment(log, options.position, options.erase)
    if error[0] != 0:
        if log.file >= 0:
            file_close(log.file)
        log_free(log)
        return NULL
    return log
