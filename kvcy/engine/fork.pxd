# cython: language_level=3
"""Snapshots made by a forked child: it has the memory as it was at the fork, and shares what nobody changes.

    parent                                          child
    locks all shards, shared; reads the log's end
    fork                                            closes every descriptor but the file and the pipe
    unlocks                                         is to die with its parent
    ... serves ...                                  writes the file (quiet: no lock, no log), syncs it
    reads the pipe: a ForkResult, then the end  <-  writes its ForkResult, ends
    reaps it                                        (killed: the pipe ends without one)

The child runs no Python, takes no lock that another thread may have held, and leaves by _exit. It counts its progress
in memory that both share. It dies when the thread that forked it does, so that must be the one that lives longest.
"""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from kvcy.engine.log cimport Log
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.snapshot cimport SnapshotPlan, SnapshotProgress, SnapshotWriter

cdef enum:
    FORK_NICE = 10                       # the child gives way to those who serve

cdef struct ForkResult:                  # as it comes through the pipe
    int32_t error                        # 0, or a negative errno
    uint32_t reserved
    uint64_t cow_bytes                   # memory that only the child has any more: copies, and its own

cdef struct ForkedSave:
    int pid
    int pipe                             # its reading end; closed on exec, does not block
    uint64_t pause_us                    # how long changes had to wait
    SnapshotProgress* progress           # written by the child

# Whether this system has what is needed: Linux from 5.9 on.
cdef bint fork_possible() noexcept nogil
# Begins to write the snapshot to the empty `file`, which may be closed afterwards, as `writer` may be freed.
# 0 or a negative errno. With a log, plan.begin_position becomes its end at the moment of the fork.
# REQUIRES: `save` is zeroed; plan.quiet; the caller holds no lock and not the GIL.
cdef int snapshot_fork(ForkedSave* save, SnapshotWriter* writer, Keyspace* keyspace, int file, SnapshotPlan* plan,
                       const Log* log) noexcept nogil
# Gives up the pipe and the shared memory. REQUIRES: the child has ended.
cdef void snapshot_fork_close(ForkedSave* save) noexcept nogil
