# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Lets an object of Python stand at the seam of engine/files.pxd, in the place of the system's calls.

The object has the methods below that change anything; each does what it is called, and raises OSError to fail. Its
`direct` is whether files can be written past the cache. Reading goes to the system. One call at a time is made: whoever
makes one holds the GIL until it is done.

Some calls of the engine are interrupted, if wanted, before they are made. (Python makes its own again by itself.)

A child that was forked to write a snapshot has no Python: it writes by itself, and can be made to kill its parent and
itself in the middle of a write (kill_in_child).
"""
from libc.errno cimport EINTR, EINVAL, EIO
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.files cimport file_calls, file_calls_system

from random import Random

cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <stdint.h>
    #include <sys/mman.h>
    #include <unistd.h>
    static pid_t seam_owner;            /* who stood at the seam */
    static volatile int* seam_left;     /* shared with children: writes until the one that kills; 0: none does */

    static int seam_share(void) {
        if (seam_left == NULL) {
            void* memory = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED)
                return -1;
            seam_left = (volatile int*) memory;
        }
        return 0;
    }

    static int64_t seam_child_write(int file, const char* data, size_t size, uint64_t offset, size_t part) {
        ssize_t done;
        if (*seam_left != 0 && --*seam_left == 0) {
            if (part != 0 && pwrite(file, data, part, (off_t) offset) < 0)
                return -errno;
            kill(getppid(), SIGKILL);
            kill(getpid(), SIGKILL);
        }
        done = pwrite(file, data, size, (off_t) offset);
        return done < 0 ? -errno : done;
    }
    """
    int seam_owner
    int* seam_left
    int seam_share() nogil
    int64_t seam_child_write(int file, const char* data, size_t size, uint64_t offset, size_t part) nogil

cdef extern from "<unistd.h>" nogil:
    int getpid()
    int close(int file)

PARTS = ("none", "half", "sectors", "head")
cdef int child_part = 0              # an index of PARTS


cdef uint64_t bytes_done(int part, uint64_t size, uint64_t offset) noexcept nogil:
    cdef uint64_t place
    if part == 1:
        return size // 2
    if part == 2:                    # the whole sectors of 512 bytes that end at or before the middle, but at least one
        place = (offset + size // 2) & ~<uint64_t> 511
        if place <= offset:
            place = (offset | 511) + 1
        return place - offset if place < offset + size else 0
    if part == 3:                    # a record's header has 32 bytes
        return 16 if size > 16 else 0
    return 0

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
    if getpid() != seam_owner:
        return close(file)
    with gil:
        return made("close", (file,)) or 0


cdef int64_t seam_write(int file, const char* data, size_t size, uint64_t offset) noexcept nogil:
    if getpid() != seam_owner:
        return seam_child_write(file, data, size, offset, bytes_done(child_part, size, offset))
    with gil:
        return made("write_at", (file, data[:size], offset))


cdef int seam_sync(int file) noexcept nogil:
    if getpid() != seam_owner:
        return 0
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


cdef int seam_set_direct(int file, int on) noexcept nogil:
    """The blocks come in any case; to ask for direct writing would ask the same of Python's memory."""
    with gil:
        return 0 if stands.direct else -EINVAL


def stand(calls: object, interrupted: bool = False) -> None:
    """Put `calls` at the seam. REQUIRES: no other thread uses files."""
    global interruptions, seam_owner, stands
    if seam_share() < 0:
        raise MemoryError
    seam_owner = getpid()
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
    file_calls().set_direct = seam_set_direct


def done_in_part(part: str, size: int, offset: int) -> int:
    """How many bytes of a write, or an allocation, of `size` bytes at `offset` are done when the process dies in it.
    0: it cannot be done in such a part."""
    return bytes_done(PARTS.index(part), size, offset)


def kill_in_child(number: int, part: str) -> None:
    """Let write `number`, from 1, of all children together be done in part, and end the child and its parent; 0: none
    does."""
    global child_part
    if seam_share() < 0:
        raise MemoryError
    child_part = PARTS.index(part)
    seam_left[0] = number


def leave() -> None:
    """Put the system's own calls back. REQUIRES: no other thread uses files."""
    global stands
    stands = None
    file_calls()[0] = file_calls_system()[0]
