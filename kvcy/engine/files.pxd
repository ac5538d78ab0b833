# cython: language_level=3
"""The one seam between the engine and the file system: every call on a file goes through it.

All functions answer 0 (or what is named) or a negative errno, never -EINTR: an interrupted call is made again. The
exceptions are file_sync and directory_sync, which report whatever they met at once: after a failed sync the system may
have dropped what it could not write, and a second one would lie. (An interrupted sync is made again, since nothing was
reported.) Names are relative to the directory `directory`, an open descriptor.

A table of functions is behind it, which tests replace to play faults: file_calls() is the one in use. The functions of
the table do what the system calls of their names do, but for answering a negative errno; they may be interrupted, and
may write or read less than was asked.
"""
from libc.stdint cimport int64_t, uint64_t

cdef struct FileCalls:
    int (*open)(int directory, const char* name, int flags, int mode) noexcept nogil        # a descriptor
    int (*close)(int file) noexcept nogil
    int64_t (*write)(int file, const char* data, size_t size, uint64_t offset) noexcept nogil      # bytes
    int64_t (*read)(int file, char* data, size_t size, uint64_t offset) noexcept nogil             # bytes, 0: the end
    int (*sync)(int file) noexcept nogil                                                     # fdatasync
    int (*sync_directory)(int directory) noexcept nogil                                      # fsync
    int (*allocate)(int file, uint64_t size) noexcept nogil                                  # from 0; grows the file
    int (*truncate)(int file, uint64_t size) noexcept nogil
    int (*rename)(int directory, const char* old, const char* name) noexcept nogil
    int (*unlink)(int directory, const char* name) noexcept nogil
    int64_t (*size)(int file) noexcept nogil
    int64_t (*data)(int file, uint64_t offset) noexcept nogil                # lseek with SEEK_DATA
    int64_t (*hole)(int file, uint64_t offset) noexcept nogil                # lseek with SEEK_HOLE
    int (*set_direct)(int file, int on) noexcept nogil                       # fcntl with O_DIRECT

# The table in use, which may be changed only while no other thread uses files; and the system's own, to go back to.
cdef FileCalls* file_calls() noexcept nogil
cdef const FileCalls* file_calls_system() noexcept nogil

# A descriptor, closed on exec. `file_create` makes the file, 0600, or empties it if it exists.
cdef int file_open_read(int directory, const char* name) noexcept nogil
cdef int file_open_write(int directory, const char* name) noexcept nogil
cdef int file_create(int directory, const char* name) noexcept nogil
cdef void file_close(int file) noexcept nogil
# All of it, or an error; what was written before the error is unknown.
cdef int file_write_at(int file, const void* data, size_t size, uint64_t offset) noexcept nogil
cdef int file_write_zeros(int file, uint64_t size, uint64_t offset) noexcept nogil
# The bytes read: `size` of them, or fewer at the end of the file.
cdef int64_t file_read_at(int file, void* data, size_t size, uint64_t offset) noexcept nogil
cdef int file_sync(int file) noexcept nogil
# Hints, not of the table: they promise nothing, and take no error away from a sync.
# The system may begin to write these bytes to the disk, so that a sync later has less to do.
cdef void file_write_back(int file, uint64_t offset, uint64_t size) noexcept nogil
# The system may take a synced file, which is about to be removed, out of its cache: little by little, with pauses. With
# the removal it would do so at one go, some milliseconds for each 10 MB, and let nobody else have that processor.
cdef void file_forget_gently(int directory, const char* name) noexcept nogil
cdef int directory_sync(int directory) noexcept nogil
# Gives a new, empty file its size, with disk space behind it: by fallocate, or by zeros where the file system cannot.
cdef int file_allocate(int file, uint64_t size) noexcept nogil
cdef int file_truncate(int file, uint64_t size) noexcept nogil
cdef int file_rename(int directory, const char* old, const char* name) noexcept nogil
cdef int file_unlink(int directory, const char* name) noexcept nogil
cdef int64_t file_size(int file) noexcept nogil
# Where, from `offset` on, the file may hold something but zeros: up to there it reads as zeros. -ENXIO: nowhere.
cdef int64_t file_data(int file, uint64_t offset) noexcept nogil
# Where the hole at the file's end begins: from there on it reads as zeros. The file's size when it has none, or the
# file system does not tell. Pages that were read count as data while the system keeps them: to be asked before reading.
cdef int64_t file_last_hole(int file) noexcept nogil
# Whether reading and writing go past the system's cache: whole blocks then, in the file and in memory. -EINVAL: the
# file system cannot. What it asks for may also be learnt from a write's -EINVAL.
cdef int file_set_direct(int file, bint direct) noexcept nogil
