# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Files: full writes and reads over the table of calls. See files.pxd.

A file system that answers a write with 0 bytes would keep file_write_at going for ever; that is taken for EIO. A write
is asked for in pieces of at most WRITE_BYTES_MAX: Linux writes no more than 2 GiB - 4 KiB at once anyway.
"""
from libc.errno cimport EINTR, EIO, ENOSYS, ENXIO, EOPNOTSUPP
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.clock cimport pause_ns
from kvcy.engine.platform cimport invariant

cdef enum:
    WRITE_BYTES_MAX = 1 << 30
    ZEROS = 1 << 19
    EXTENTS_MAX = 256               # that are looked at for a hole at the end
    FORGET_BYTES = 2 << 20          # between two pauses
    FORGET_PAUSE_NS = 500000

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <sys/stat.h>
    #include <unistd.h>
    #define KVCY_ANSWER(call)  do { int answer = (call); return answer < 0 ? -errno : answer; } while (0)

    static int kvcy_file_open(int directory, const char* name, int flags, int mode) {
        KVCY_ANSWER(openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode));
    }
    static int kvcy_file_close(int file) { KVCY_ANSWER(close(file)); }
    static int64_t kvcy_file_write(int file, const char* data, size_t size, uint64_t offset) {
        ssize_t written = pwrite(file, data, size, (off_t) offset);
        return written < 0 ? -errno : (int64_t) written;
    }
    static int64_t kvcy_file_read(int file, char* data, size_t size, uint64_t offset) {
        ssize_t got = pread(file, data, size, (off_t) offset);
        return got < 0 ? -errno : (int64_t) got;
    }
    static int kvcy_file_sync(int file) { KVCY_ANSWER(fdatasync(file)); }
    static void kvcy_file_write_back(int file, uint64_t offset, uint64_t size) {
    #ifdef SYNC_FILE_RANGE_WRITE
        if (sync_file_range(file, (off_t) offset, (off_t) size, SYNC_FILE_RANGE_WRITE) < 0) {}
    #else
        (void) file; (void) offset; (void) size;
    #endif
    }
    static void kvcy_file_forget(int file, uint64_t offset, uint64_t size) {
    #ifdef POSIX_FADV_DONTNEED
        if (posix_fadvise(file, (off_t) offset, (off_t) size, POSIX_FADV_DONTNEED) != 0) {}
    #else
        (void) file; (void) offset; (void) size;
    #endif
    }
    static int kvcy_file_sync_directory(int directory) { KVCY_ANSWER(fsync(directory)); }
    static int kvcy_file_allocate(int file, uint64_t size) { KVCY_ANSWER(fallocate(file, 0, 0, (off_t) size)); }
    static int kvcy_file_truncate(int file, uint64_t size) { KVCY_ANSWER(ftruncate(file, (off_t) size)); }
    static int kvcy_file_rename(int directory, const char* old, const char* name) {
        KVCY_ANSWER(renameat(directory, old, directory, name));
    }
    static int kvcy_file_unlink(int directory, const char* name) { KVCY_ANSWER(unlinkat(directory, name, 0)); }
    static int64_t kvcy_file_size(int file) {
        struct stat status;
        return fstat(file, &status) < 0 ? -errno : (int64_t) status.st_size;
    }
    /* Moves the descriptor's own offset, which nothing else uses. */
    static int64_t kvcy_file_data(int file, uint64_t offset) {
    #ifdef SEEK_DATA
        off_t found = lseek(file, (off_t) offset, SEEK_DATA);
        return found < 0 ? -errno : (int64_t) found;
    #else
        (void) file;
        return (int64_t) offset;
    #endif
    }
    static int64_t kvcy_file_hole(int file, uint64_t offset) {
    #ifdef SEEK_HOLE
        off_t found = lseek(file, (off_t) offset, SEEK_HOLE);
        return found < 0 ? -errno : (int64_t) found;
    #else
        (void) offset;
        return kvcy_file_size(file);
    #endif
    }
    static int kvcy_file_set_direct(int file, int on) {
    #ifdef O_DIRECT
        int flags = fcntl(file, F_GETFL);
        if (flags < 0) return -errno;
        KVCY_ANSWER(fcntl(file, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT));
    #else
        (void) file;
        return on ? -EINVAL : 0;
    #endif
    }
    /* Never written to, but not `const`: so it takes no room in the module's file, nor in memory. */
    static char kvcy_file_zeros[1 << 19] __attribute__((aligned(4096)));
    """
    int O_RDONLY, O_RDWR, O_CREAT, O_TRUNC
    int kvcy_file_open(int, const char*, int, int) noexcept nogil
    int kvcy_file_close(int) noexcept nogil
    int64_t kvcy_file_write(int, const char*, size_t, uint64_t) noexcept nogil
    int64_t kvcy_file_read(int, char*, size_t, uint64_t) noexcept nogil
    int kvcy_file_sync(int) noexcept nogil
    void kvcy_file_write_back(int, uint64_t, uint64_t) noexcept nogil
    void kvcy_file_forget(int, uint64_t, uint64_t) noexcept nogil
    int kvcy_file_sync_directory(int) noexcept nogil
    int kvcy_file_allocate(int, uint64_t) noexcept nogil
    int kvcy_file_truncate(int, uint64_t) noexcept nogil
    int kvcy_file_rename(int, const char*, const char*) noexcept nogil
    int kvcy_file_unlink(int, const char*) noexcept nogil
    int64_t kvcy_file_size(int) noexcept nogil
    int64_t kvcy_file_data(int, uint64_t) noexcept nogil
    int64_t kvcy_file_hole(int, uint64_t) noexcept nogil
    int kvcy_file_set_direct(int, int) noexcept nogil
    const char* kvcy_file_zeros

cdef FileCalls system_calls
system_calls.open = kvcy_file_open
system_calls.close = kvcy_file_close
system_calls.write = kvcy_file_write
system_calls.read = kvcy_file_read
system_calls.sync = kvcy_file_sync
system_calls.sync_directory = kvcy_file_sync_directory
system_calls.allocate = kvcy_file_allocate
system_calls.truncate = kvcy_file_truncate
system_calls.rename = kvcy_file_rename
system_calls.unlink = kvcy_file_unlink
system_calls.size = kvcy_file_size
system_calls.data = kvcy_file_data
system_calls.hole = kvcy_file_hole
system_calls.set_direct = kvcy_file_set_direct
cdef FileCalls calls = system_calls


cdef FileCalls* file_calls() noexcept nogil:
    return &calls


cdef const FileCalls* file_calls_system() noexcept nogil:
    return &system_calls


cdef int open_until_open(int directory, const char* name, int flags) noexcept nogil:
    cdef int file = -EINTR
    invariant(name != NULL)
    while file == -EINTR:
        file = calls.open(directory, name, flags, 0o600)
    return file


cdef int file_open_read(int directory, const char* name) noexcept nogil:
    return open_until_open(directory, name, O_RDONLY)


cdef int file_open_write(int directory, const char* name) noexcept nogil:
    return open_until_open(directory, name, O_RDWR)


cdef int file_create(int directory, const char* name) noexcept nogil:
    return open_until_open(directory, name, O_RDWR | O_CREAT | O_TRUNC)


cdef void file_close(int file) noexcept nogil:
    """Not again after EINTR: Linux has closed the descriptor by then. Errors come too late to mean anything."""
    invariant(file >= 0)
    calls.close(file)


cdef int file_write_at(int file, const void* data, size_t size, uint64_t offset) noexcept nogil:
    cdef const char* rest = <const char*> data
    cdef int64_t written
    invariant(file >= 0)
    while size > 0:
        written = calls.write(file, rest, size if size < WRITE_BYTES_MAX else WRITE_BYTES_MAX, offset)
        if written == -EINTR:
            continue
        if written <= 0:
            return <int> written if written < 0 else -EIO
        invariant(<size_t> written <= size)
        rest += written
        size -= written
        offset += written
    return 0


cdef int file_write_zeros(int file, uint64_t size, uint64_t offset) noexcept nogil:
    cdef size_t piece
    cdef int answer
    while size > 0:
        piece = size if size < ZEROS else ZEROS
        answer = file_write_at(file, kvcy_file_zeros, piece, offset)
        if answer < 0:
            return answer
        size -= piece
        offset += piece
    return 0


cdef int64_t file_read_at(int file, void* data, size_t size, uint64_t offset) noexcept nogil:
    cdef char* rest = <char*> data
    cdef size_t wanted = size
    cdef int64_t got
    invariant(file >= 0)
    while wanted > 0:
        got = calls.read(file, rest, wanted if wanted < WRITE_BYTES_MAX else WRITE_BYTES_MAX, offset)
        if got == -EINTR:
            continue
        if got < 0:
            return got
        if got == 0:
            break
        rest += got
        wanted -= got
        offset += got
    return size - wanted


cdef int file_sync(int file) noexcept nogil:
    cdef int answer = -EINTR
    invariant(file >= 0)
    while answer == -EINTR:
        answer = calls.sync(file)
    return answer


cdef void file_write_back(int file, uint64_t offset, uint64_t size) noexcept nogil:
    kvcy_file_write_back(file, offset, size)


cdef void file_forget_gently(int directory, const char* name) noexcept nogil:
    cdef int file = kvcy_file_open(directory, name, O_RDONLY, 0)
    cdef int64_t size = kvcy_file_size(file) if file >= 0 else 0
    cdef int64_t offset = 0
    while offset < size:
        kvcy_file_forget(file, offset, FORGET_BYTES)
        offset += FORGET_BYTES
        pause_ns(FORGET_PAUSE_NS)
    if file >= 0:
        kvcy_file_close(file)


cdef int directory_sync(int directory) noexcept nogil:
    cdef int answer = -EINTR
    while answer == -EINTR:
        answer = calls.sync_directory(directory)
    return answer


cdef int file_allocate(int file, uint64_t size) noexcept nogil:
    cdef int answer = -EINTR
    invariant(file >= 0)
    while answer == -EINTR:
        answer = calls.allocate(file, size)
    if answer == -EOPNOTSUPP or answer == -ENOSYS:
        answer = file_write_zeros(file, size, 0)
    return answer


cdef int file_truncate(int file, uint64_t size) noexcept nogil:
    cdef int answer = -EINTR
    while answer == -EINTR:
        answer = calls.truncate(file, size)
    return answer


cdef int file_rename(int directory, const char* old, const char* name) noexcept nogil:
    cdef int answer = -EINTR
    while answer == -EINTR:
        answer = calls.rename(directory, old, name)
    return answer


cdef int file_unlink(int directory, const char* name) noexcept nogil:
    cdef int answer = -EINTR
    while answer == -EINTR:
        answer = calls.unlink(directory, name)
    return answer


cdef int64_t file_size(int file) noexcept nogil:
    return calls.size(file)


cdef int64_t file_data(int file, uint64_t offset) noexcept nogil:
    """A system that does not know answers that all may be data."""
    cdef int64_t found = calls.data(file, offset)
    return found if found >= 0 or found == -ENXIO else <int64_t> offset


cdef int64_t file_last_hole(int file) noexcept nogil:
    cdef int64_t hole = 0
    cdef int64_t data
    for _ in range(EXTENTS_MAX):
        hole = calls.hole(file, <uint64_t> hole)
        if hole < 0:
            break
        data = calls.data(file, <uint64_t> hole)
        if data == -ENXIO:
            return hole
        if data <= hole:
            break
        hole = data
    return calls.size(file)


cdef int file_set_direct(int file, bint direct) noexcept nogil:
    return calls.set_direct(file, direct)
