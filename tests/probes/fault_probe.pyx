# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Plays faults at the seam of engine/files.pxd: errors at the n-th call of a kind, short transfers, interruptions.

Reads may also be held up: `hold`, `let_go`. One player for the process; `play` starts it, `stop` puts the system's own
calls back. Calls are counted by kind, failed ones included, and so are those of all threads: where a count matters, one
thread uses files.
"""
from libc.errno cimport EINTR, EINVAL
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.futex cimport add_ordered_u32, futex_wait, futex_wake, load_ordered_u32, store_ordered_u32
from kvcy.engine.files cimport FileCalls, file_calls, file_calls_system
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u64

cdef enum:
    OPEN
    WRITE
    READ
    SYNC
    SYNC_DIRECTORY
    ALLOCATE
    TRUNCATE
    RENAME
    UNLINK
    KINDS

NAMES = ("open", "write", "read", "sync", "sync_directory", "allocate", "truncate", "rename", "unlink")

cdef struct Player:
    uint64_t counts[KINDS]
    uint64_t count              # of all kinds
    int kind                    # of calls that fail; -1: any
    uint64_t first              # the first that fails, from 1; 0: none
    uint64_t last
    int error
    bint interrupted            # every other call, at random
    bint shortened              # reads and writes, to a random part
    bint direct                 # whether files may be written past the cache
    uint64_t random
    uint32_t free_reads         # atomic: so many more reads go on at once; the next ones wait while `held`
    uint32_t held               # atomic
    uint32_t waiting            # atomic: reads that have come to wait

cdef Player player


cdef uint64_t draw(uint64_t below) noexcept nogil:
    player.random ^= player.random >> 12
    player.random ^= player.random << 25
    player.random ^= player.random >> 27
    return ((player.random * <uint64_t> 0x2545F4914F6CDD1D) >> 33) % below


cdef int fault(int kind) noexcept nogil:
    """Counts a call; the negative errno it is to answer, or 0."""
    cdef uint64_t number
    if player.interrupted and draw(2) == 0:
        return -EINTR
    number = add_relaxed_u64(&player.counts[kind], 1)
    if player.kind < 0:
        number = add_relaxed_u64(&player.count, 1)
    else:
        add_relaxed_u64(&player.count, 1)
    if player.first != 0 and player.kind in (-1, kind) and player.first <= number <= player.last:
        return -player.error
    return 0


cdef int play_open(int directory, const char* name, int flags, int mode) noexcept nogil:
    cdef int answer = fault(OPEN)
    return answer if answer < 0 else file_calls_system().open(directory, name, flags, mode)


cdef int64_t play_write(int file, const char* data, size_t size, uint64_t offset) noexcept nogil:
    cdef int answer = fault(WRITE)
    if player.shortened and size > 1:
        size = 1 + draw(size)
    return answer if answer < 0 else file_calls_system().write(file, data, size, offset)


cdef void await_let_go() noexcept nogil:
    if load_ordered_u32(&player.held) == 0:
        return
    if load_ordered_u32(&player.free_reads):
        add_ordered_u32(&player.free_reads, <uint32_t> -1)
        return
    add_ordered_u32(&player.waiting, 1)
    futex_wake(&player.waiting)
    while load_ordered_u32(&player.held):
        futex_wait(&player.held, 1, -1)


cdef int64_t play_read(int file, char* data, size_t size, uint64_t offset) noexcept nogil:
    cdef int answer = fault(READ)
    await_let_go()
    if player.shortened and size > 1:
        size = 1 + draw(size)
    return answer if answer < 0 else file_calls_system().read(file, data, size, offset)


cdef int play_sync(int file) noexcept nogil:
    """Syncs nothing: what a sync is worth is not seen here, and tests are quicker so."""
    return fault(SYNC)


cdef int play_sync_directory(int directory) noexcept nogil:
    return fault(SYNC_DIRECTORY)


cdef int play_allocate(int file, uint64_t size) noexcept nogil:
    cdef int answer = fault(ALLOCATE)
    return answer if answer < 0 else file_calls_system().allocate(file, size)


cdef int play_truncate(int file, uint64_t size) noexcept nogil:
    cdef int answer = fault(TRUNCATE)
    return answer if answer < 0 else file_calls_system().truncate(file, size)


cdef int play_rename(int directory, const char* old, const char* name) noexcept nogil:
    cdef int answer = fault(RENAME)
    return answer if answer < 0 else file_calls_system().rename(directory, old, name)


cdef int play_unlink(int directory, const char* name) noexcept nogil:
    cdef int answer = fault(UNLINK)
    return answer if answer < 0 else file_calls_system().unlink(directory, name)


cdef int play_set_direct(int file, int on) noexcept nogil:
    return file_calls_system().set_direct(file, on) if player.direct or not on else -EINVAL


def play(
        kind: str | None = None, uint64_t first=0, uint64_t last=<uint64_t> -1, int error=0, interrupted=False,
        shortened=False, uint64_t seed=1, direct=True) -> None:
    """From now on the calls of `kind` (all kinds: None) numbered `first` to `last`, from 1, fail with `error`; and the
    file system refuses to be written past its cache, if not `direct`."""
    cdef FileCalls* calls = file_calls()
    cdef int i
    for i in range(KINDS):
        player.counts[i] = 0
    player.count = 0
    player.kind = -1 if kind is None else NAMES.index(kind)
    player.first = first
    player.last = last
    player.error = error
    player.interrupted = interrupted
    player.shortened = shortened
    player.direct = direct
    player.random = seed
    calls.open = play_open
    calls.write = play_write
    calls.read = play_read
    calls.sync = play_sync
    calls.sync_directory = play_sync_directory
    calls.allocate = play_allocate
    calls.truncate = play_truncate
    calls.rename = play_rename
    calls.unlink = play_unlink
    calls.set_direct = play_set_direct


def fail(str kind, uint64_t first, uint64_t last, int error) -> None:
    """As `play`, from now on, while other threads use files. REQUIRES: play."""
    player.first = 0
    player.kind = NAMES.index(kind)
    player.counts[player.kind] = 0
    player.error = error
    player.last = last
    player.first = first


def hold(uint32_t free_reads) -> None:
    """Lets so many reads go on, and the next ones wait for let_go(). REQUIRES: play; one thread reads."""
    player.free_reads = free_reads
    store_ordered_u32(&player.held, 1)


def await_held() -> None:
    """Returns when a read waits."""
    with nogil:
        while load_ordered_u32(&player.waiting) == 0:
            futex_wait(&player.waiting, 0, -1)


def let_go() -> None:
    store_ordered_u32(&player.held, 0)
    futex_wake(&player.held)


def stop() -> None:
    file_calls()[0] = file_calls_system()[0]


def counts() -> dict[str, int]:
    """The calls since `play`, without those that were interrupted."""
    return {name: load_relaxed_u64(&player.counts[i]) for i, name in enumerate(NAMES)}


def count() -> int:
    return load_relaxed_u64(&player.count)
