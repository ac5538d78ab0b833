# cython: language_level=3
"""Snapshots of a store, made one at a time: see _saving.pyx."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy._core cimport Store
from kvcy.engine.fork cimport ForkedSave, ForkResult
from kvcy.engine.log cimport Log
from kvcy.engine.snapshot cimport SnapshotPlan, SnapshotProgress, SnapshotWriter

cdef class Snapshots:
    cdef Store store
    cdef Log* log                    # borrowed, set while it is open; NULL: no change is logged
    cdef SnapshotProgress progress   # of the one being made, or of the last
    cdef readonly object directory   # None: there is none yet (claim)
    cdef readonly object manifest
    cdef public uint64_t end         # where the log ended when it was read: where it goes on while nothing is logged
    cdef public uint64_t position    # where the log continues the newest snapshot; 0: there is none, as a rule
    cdef public uint64_t bytes       # its size
    cdef public uint32_t flags       # what its followers inherit of its SnapshotFlags
    cdef public uint64_t keep_bytes  # of log before a new snapshot that can still be restored to

    cdef int plan_for(self, SnapshotPlan* plan) except -1
    cdef int write(self, SnapshotWriter* writer, SnapshotPlan* plan, int file) noexcept nogil
    cdef str publish(self, SnapshotPlan* plan, str new)
    cdef int remove_needless(self, uint64_t position, bint gives_way) except -1
    cdef int forget(self, list names) except -1

cdef class ForkedSnapshot:
    cdef ForkedSave save             # not a child's any more when its pid is 0
    cdef ForkResult result
    cdef SnapshotPlan plan
    cdef bytes received              # of the result
    cdef Snapshots snapshots
    cdef readonly str new            # the file's name, until it gets its own
