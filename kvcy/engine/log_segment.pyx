# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Segments of the log. See log_segment.pxd.

A segment is written as `log-N.new`, synced, named, and the directory is synced: what has the name is whole. When the
last of these fails, nobody knows whether the name is there, so that a full disk at that point is told as EIO.
"""
from libc.errno cimport EDQUOT, EINVAL, EIO, ENOMEM, ENOSPC, EPROTONOSUPPORT
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memset

from kvcy.engine.checksum cimport crc32c
from kvcy.engine.files cimport (
    directory_sync, file_allocate, file_close, file_create, file_open_read, file_open_write, file_read_at, file_rename,
    file_sync, file_unlink, file_write_at,
)
from kvcy.engine.log_format cimport (
    SEGMENT_HEADER_BYTES, SEGMENT_NAME_BYTES, SEGMENT_VERSION, SegmentHeader,
)
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.engine.platform cimport invariant

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <dirent.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>

    static DIR* kvcy_directory_open(int directory) {
        int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR* stream;
        if (copy < 0) return NULL;
        stream = fdopendir(copy);
        if (stream == NULL) (void) close(copy);
        return stream;
    }
    /* The next segment's number: 1; 0: there is none; or a negative errno. */
    static int kvcy_directory_next(DIR* stream, uint64_t* number) {
        struct dirent* entry;
        for (;;) {
            errno = 0;
            entry = readdir(stream);
            if (entry == NULL) return -errno;
            if (strncmp(entry->d_name, "log-", 4) == 0 && strlen(entry->d_name) == 20
                    && strspn(entry->d_name + 4, "0123456789abcdef") == 16) {
                *number = strtoull(entry->d_name + 4, NULL, 16);
                return 1;
            }
        }
    }
    static int kvcy_compare_u64(const void* one, const void* other) {
        uint64_t a = *(const uint64_t*) one, b = *(const uint64_t*) other;
        return (a > b) - (a < b);
    }
    """
    ctypedef struct DIR:
        pass
    DIR* kvcy_directory_open(int directory) nogil
    int kvcy_directory_next(DIR* stream, uint64_t* number) nogil
    int closedir(DIR* stream) nogil
    int kvcy_compare_u64(const void* one, const void* other) noexcept nogil
    int errno_now "errno"

cdef enum:
    HEADER_GUARDED = 48             # the bytes behind `crc`, to the struct's end


cdef uint32_t history_seed(const unsigned char* history) noexcept nogil:
    return crc32c(0, history, 16)


cdef void segment_name(char* name, uint64_t number, bint new) noexcept nogil:
    cdef const char* suffix = ".new" if new else ""
    snprintf(name, SEGMENT_NAME_BYTES, "log-%016llx%s", <unsigned long long> number, suffix)


cdef SegmentHeader header_of(uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil:
    cdef SegmentHeader header
    invariant(sizeof(SegmentHeader) == 64)
    memset(&header, 0, sizeof(SegmentHeader))
    memcpy(header.magic, b"KVCYLOG1", 8)
    header.version = SEGMENT_VERSION
    header.number = number
    header.segment_bytes = segment_bytes
    memcpy(header.history, history, 16)
    header.crc = crc32c(0, &header.number, HEADER_GUARDED)
    return header


cdef int segment_fill(
        int file, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil:
    """Gives a new file its size and its header, and syncs it."""
    cdef SegmentHeader header = header_of(number, segment_bytes, history)
    cdef int answer = file_allocate(file, SEGMENT_HEADER_BYTES + segment_bytes)
    if answer == 0:
        answer = file_write_at(file, &header, sizeof(SegmentHeader), 0)
    if answer == 0:
        answer = file_sync(file)
    return answer


cdef int segment_make(
        int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil:
    cdef char new_name[SEGMENT_NAME_BYTES]
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int answer, file
    segment_name(new_name, number, True)
    segment_name(name, number, False)
    file = file_create(directory, new_name)
    if file < 0:
        return file
    answer = segment_fill(file, number, segment_bytes, history)
    if answer == 0:
        answer = file_rename(directory, new_name, name)
    if answer == 0:
        answer = directory_sync(directory)
        if answer == -ENOSPC or answer == -EDQUOT:
            answer = -EIO
    else:
        file_unlink(directory, new_name)
    if answer < 0:
        file_close(file)
        return answer
    return file


cdef bint other_version(const char* data) noexcept nogil:
    """Whether these SEGMENT_HEADER_BYTES begin a segment of another version of the format."""
    cdef SegmentHeader header
    memcpy(&header, data, sizeof(SegmentHeader))
    return memcmp(header.magic, b"KVCYLOG1", 8) == 0 and header.version != SEGMENT_VERSION


cdef const char* header_fault(
        const char* data, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil:
    """What is wrong with the SEGMENT_HEADER_BYTES at `data`, or NULL."""
    cdef SegmentHeader header
    cdef size_t i
    memcpy(&header, data, sizeof(SegmentHeader))
    if memcmp(header.magic, b"KVCYLOG1", 8) != 0:
        return "not a log segment"
    if other_version(data):
        return "a segment of another version of the format"
    if header.crc != crc32c(0, &header.number, HEADER_GUARDED):
        return "the segment's header does not match its checksum"
    if memcmp(header.history, history, 16) != 0:
        return "a segment of another history"
    if header.number != number:
        return "a segment under another's name"
    if header.segment_bytes != segment_bytes:
        return "a segment of another size"
    for i in range(sizeof(SegmentHeader), <size_t> SEGMENT_HEADER_BYTES):
        if data[i] != 0:
            return "the segment's header has something behind it"
    return NULL


cdef int segment_open(
        int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history, bint writable,
        const char** reason) noexcept nogil:
    cdef char data[SEGMENT_HEADER_BYTES]
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int64_t got
    cdef int file
    segment_name(name, number, False)
    file = file_open_write(directory, name) if writable else file_open_read(directory, name)
    if file < 0:
        return file
    memset(data, 0, SEGMENT_HEADER_BYTES)
    got = file_read_at(file, data, SEGMENT_HEADER_BYTES, 0)
    if got >= 0:
        reason[0] = header_fault(data, number, segment_bytes, history)
    if got >= 0 and reason[0] != NULL:
        got = -EPROTONOSUPPORT if other_version(data) else -EINVAL
    if got < 0:
        file_close(file)
        return <int> got
    return file


cdef int segment_write_header(
        int directory, uint64_t number, uint64_t segment_bytes, const unsigned char* history) noexcept nogil:
    cdef char data[SEGMENT_HEADER_BYTES]
    cdef char name[SEGMENT_NAME_BYTES]
    cdef SegmentHeader header = header_of(number, segment_bytes, history)
    cdef int file, answer
    memset(data, 0, SEGMENT_HEADER_BYTES)
    memcpy(data, &header, sizeof(SegmentHeader))
    segment_name(name, number, False)
    file = file_open_write(directory, name)
    if file < 0:
        return file
    answer = file_write_at(file, data, SEGMENT_HEADER_BYTES, 0)
    if answer == 0:
        answer = file_sync(file)
    file_close(file)
    return answer


# --- the directory

cdef int list_add(SegmentList* found, uint64_t number) noexcept nogil:
    cdef size_t capacity
    cdef void* numbers
    if found.count == found.capacity:
        capacity = found.capacity * 2 + 64
        numbers = memory_resize(found.numbers, capacity * sizeof(uint64_t))
        if numbers == NULL:
            return -ENOMEM
        found.numbers = <uint64_t*> numbers
        found.capacity = capacity
    found.numbers[found.count] = number
    found.count += 1
    return 0


cdef int segments_find(int directory, SegmentList* found) noexcept nogil:
    cdef DIR* stream = kvcy_directory_open(directory)
    cdef uint64_t number = 0
    cdef int answer
    memset(found, 0, sizeof(SegmentList))
    if stream == NULL:
        return -errno_now
    while True:
        answer = kvcy_directory_next(stream, &number)
        if answer <= 0:
            break
        answer = list_add(found, number)
        if answer < 0:
            break
    closedir(stream)
    if answer < 0:
        segments_free(found)
        return answer
    if found.count > 1:
        qsort(found.numbers, found.count, sizeof(uint64_t), kvcy_compare_u64)
    return 0


cdef void segments_free(SegmentList* found) noexcept nogil:
    memory_free(found.numbers)
    memset(found, 0, sizeof(SegmentList))


cdef int segment_remove(int directory, uint64_t number) noexcept nogil:
    cdef char name[SEGMENT_NAME_BYTES]
    segment_name(name, number, False)
    return file_unlink(directory, name)


cdef int segments_remove(int directory, uint64_t first, uint64_t end, bint newest_first) noexcept nogil:
    """Removes the segments with numbers from `first` up to `end`. Each removal is synced before the next: of several
    that are not, a power cut may undo any."""
    cdef SegmentList found
    cdef uint64_t number
    cdef size_t i
    cdef int answer = segments_find(directory, &found)
    if answer < 0:
        return answer
    for i in range(found.count):
        number = found.numbers[found.count - 1 - i if newest_first else i]
        if answer == 0 and first <= number < end:
            answer = segment_remove(directory, number)
            if answer == 0:
                answer = directory_sync(directory)
    segments_free(&found)
    return answer


cdef int segments_remove_before(int directory, uint64_t segment_bytes, uint64_t position) noexcept nogil:
    return segments_remove(directory, 0, position // segment_bytes, False)


cdef int segments_remove_from(int directory, uint64_t first) noexcept nogil:
    return segments_remove(directory, first, <uint64_t> -1, True)
