# cython: language_level=3
"""Freeing what another thread may still be looking at without a lock (quiescent-state-based reclamation).

A reactor prefetches: it reads table slots and page directories without the shard's lock. Such a thread registers, and
says at the end of each batch that it holds no such pointer any more (`quiet_pass`), or that it goes to sleep
(`quiet_leave` ... `quiet_enter`). Memory that was replaced is retired, and freed once every registered thread has
passed. A thread that reads only under locks need not register. See Hart et al., "Performance of memory reclamation for
lockless synchronization", 2007. The list's spin lock is a leaf (rwlock.pxd).
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    QUIET_THREADS_MAX = 128

ctypedef void (*FreeFunction)(void* pointer, void* context) noexcept nogil

cdef struct Retired:        # the note of one piece of retired memory
    Retired* next
    void* pointer
    FreeFunction free
    void* context
    uint64_t epoch          # may be freed when every thread inside has seen this epoch

# Process-wide. A registered thread's number, or -1 when there are too many.
cdef int quiet_register() noexcept nogil
cdef void quiet_unregister(int thread) noexcept nogil
cdef void quiet_enter(int thread) noexcept nogil    # about to read without locks
cdef void quiet_pass(int thread) noexcept nogil     # holds nothing now, goes on
cdef void quiet_leave(int thread) noexcept nogil    # holds nothing and sleeps
# Hands `pointer` over; `free(pointer, context)` is called, by whichever thread reclaims, when all have passed.
# REQUIRES for all three: nobody can find the memory any more who is not looking at it already.
# False when there is no memory for the note of it: the pointer is still the caller's.
cdef bint quiet_retire(void* pointer, FreeFunction free, void* context) noexcept nogil
# The same with a note the caller provides, inside the retired memory as a rule: cannot fail. Nobody but the list
# may touch the note until `free` is called (which may free it).
cdef void quiet_retire_noted(Retired* note, void* pointer, FreeFunction free, void* context) noexcept nogil
# The same for what is freed in a few microseconds by a function that takes no lock: the call also frees what it can of
# such memory that was retired before. So a growing table does not wait for quiet_reclaim, even if nobody calls it.
cdef void quiet_retire_array(Retired* note, void* pointer, FreeFunction free, void* context) noexcept nogil
# Frees up to `count_max` of what may be freed; returns how many were. Called off the hot path, without shard locks.
cdef uint64_t quiet_reclaim(uint64_t count_max) noexcept nogil
cdef uint64_t quiet_waiting() noexcept nogil        # retired, not yet freed (relaxed)
