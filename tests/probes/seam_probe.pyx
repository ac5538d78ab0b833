# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Lets an object of Python stand at the seam of engine/files.pxd, in the place of the system's calls.

The object has the methods below that change anything; each does what it is called, and raises OSError to fail. Reading
goes to the system. One call at a time is made: whoever makes one holds the GIL until it is done.

Some calls of the engine are interrupted, if wanted, before they are made. (Python makes its own again by itself.)
"""
from libc.errno cimport EINTR, EIO
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.files cimport file_calls, file_calls_system

from random import Random

cdef object stands = None
cdef object interruptions = None     # a Random; None: there are none


cdef object made(str name, tuple arguments):
    """The answer of the object's method, or the negative errno it failed with."""
    if interruptions is not None and name != "close" and interruptions.random() < 0.5:
        return -EINTR
    try:
        return getattr(stands, name)(*arguments)
    except OSError as error:
        return -(error.errno or EIO)


cdef int seam_open(int directory, const char* name, int flags, int mode) noexcept nogil:
    with gil:
        return made("open", (name.decode(), flags, mode, directory))


cdef int seam_close(int file) noexcept nogil:
    with gil:
        return made("close", (file,)) or 0


cdef int64_t seam_write(int file, const char* data, size_t size, uint64_t offset) noexcept nogil:
    with gil:
        return made("write_at", (file, data[:size], offset))


cdef int seam_sync(int file) noexcept nogil:
    with gil:
        return made("sync", (file,)) or 0


cdef int seam_allocate(int file, uint64_t size) noexcept nogil:
    with gil:
        return made("allocate", (file, size)) or 0


cdef int seam_truncate(int file, uint64_t size) noexcept nogil:
    with gil:
        return made("truncate", (file, size)) or 0


cdef int seam_rename(int directory, const char* old, const char* name) noexcept nogil:
    with gil:
        return made("rename", (old.decode(), name.decode(), directory)) or 0


cdef int seam_unlink(int directory, const char* name) noexcept nogil:
    with gil:
        return made("unlink", (name.decode(), directory)) or 0


def stand(calls: object, interrupted: bool = False) -> None:
    """Put `calls` at the seam. REQUIRES: no other thread uses files."""
    global interruptions, stands
    stands = calls
    interruptions = Random(1) if interrupted else None
    file_calls().open = seam_open
    file_calls().close = seam_close
    file_calls().write = seam_write
    file_calls().sync = seam_sync
    file_calls().sync_directory = seam_sync
    file_calls().allocate = seam_allocate
    file_calls().truncate = seam_truncate
    file_calls().rename = seam_rename
    file_calls().unlink = seam_unlink


def leave() -> None:
    """Put the system's own calls back. REQUIRES: no other thread uses files."""
    global stands
    stands = None
    file_calls()[0] = file_calls_system()[0]
