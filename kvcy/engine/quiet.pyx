# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Quiescent-state-based reclamation. See quiet.pxd.

How: an epoch counts up with every retirement. A thread that reads without locks keeps, in a cache line of its own, the
epoch it saw when it last held nothing (0: it is outside). A retired piece notes the epoch its retirement made; it may
be freed when every thread inside has seen that epoch or a later one, since a thread that has seen it also sees the
memory unlinked.

Entering needs more than a release: a thread's reads must not happen before the others can see it inside. So `enter`
stores its epoch and then loads the global one, both sequentially consistent, and the retirer counts the epoch up and
then loads the threads' epochs, likewise. If the thread's load came before the count, the retirer sees the thread inside
with an older epoch and waits; if after, the thread sees what was unlinked before the count. No fence is used, since
ThreadSanitizer does not understand them.

Arrays (of tables, of page directories) have a list of their own: retiring one frees earlier ones, so that a table that
grows does not keep all its former arrays until somebody calls quiet_reclaim.

Limits: QUIET_THREADS_MAX threads; a thread that stays inside without passing keeps everything retired since.
"""
from libc.stdint cimport UINT64_MAX, uint32_t, uint64_t

from kvcy.engine.memory cimport memory_free, memory_new
from kvcy.engine.platform cimport (
    add_relaxed_u64, invariant, load_relaxed_u64, store_release_u64,
)
from kvcy.engine.rwlock cimport spin_lock, spin_unlock

cdef enum:
    ARRAYS_FREED_MAX = 2

cdef extern from *:
    """
    #define KVCY_LOAD_SEQ_CST(p)      __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define KVCY_STORE_SEQ_CST(p, v)  __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
    #define KVCY_ADD_SEQ_CST(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
    """
    uint64_t load_seq_cst "KVCY_LOAD_SEQ_CST"(uint64_t*) nogil
    void store_seq_cst "KVCY_STORE_SEQ_CST"(uint64_t*, uint64_t) nogil
    uint64_t add_seq_cst "KVCY_ADD_SEQ_CST"(uint64_t*, uint64_t) nogil

cdef struct QuietThread:
    uint64_t seen                   # atomic: the epoch seen when it last held nothing, 0: outside
    uint32_t registered             # under quiet.lock
    char unused[52]                 # fills the cache line

cdef struct RetiredList:
    Retired* first                  # in the order of their epochs
    Retired* last

cdef struct HeapNote:               # a note quiet_retire had to allocate
    Retired note
    void* pointer
    FreeFunction free
    void* context

cdef struct Quiet:
    uint32_t lock                   # leaf spin lock: protects the lists, `registered` and threads_end
    int threads_end                 # no thread with this number or a higher one was ever registered
    RetiredList arrays              # freed by the next retirement of an array
    RetiredList others              # freed by quiet_reclaim
    uint64_t waiting                # atomic: in both lists

cdef QuietThread threads[QUIET_THREADS_MAX]
cdef uint64_t epoch_before          # atomic: epoch - 1 (so that it may start as zero); epochs start at 1
cdef Quiet quiet


cdef int quiet_register() noexcept nogil:
    cdef int thread = -1
    cdef int i
    spin_lock(&quiet.lock)
    for i in range(QUIET_THREADS_MAX):
        if threads[i].registered == 0:
            threads[i].registered = 1
            thread = i
            if i >= quiet.threads_end:
                quiet.threads_end = i + 1
            break
    spin_unlock(&quiet.lock)
    return thread


cdef void quiet_unregister(int thread) noexcept nogil:
    invariant(thread >= 0 and thread < QUIET_THREADS_MAX)
    quiet_leave(thread)
    spin_lock(&quiet.lock)
    invariant(threads[thread].registered == 1)
    threads[thread].registered = 0
    spin_unlock(&quiet.lock)


cdef void quiet_enter(int thread) noexcept nogil:
    invariant(thread >= 0 and thread < QUIET_THREADS_MAX)
    invariant(load_relaxed_u64(&threads[thread].seen) == 0)
    store_seq_cst(&threads[thread].seen, load_seq_cst(&epoch_before) + 1)
    load_seq_cst(&epoch_before)     # orders the reads that follow: see above


cdef void quiet_pass(int thread) noexcept nogil:
    invariant(thread >= 0 and thread < QUIET_THREADS_MAX)
    invariant(load_relaxed_u64(&threads[thread].seen) != 0)
    store_release_u64(&threads[thread].seen, load_seq_cst(&epoch_before) + 1)


cdef void quiet_leave(int thread) noexcept nogil:
    invariant(thread >= 0 and thread < QUIET_THREADS_MAX)
    store_release_u64(&threads[thread].seen, 0)


# --- the lists

cdef uint64_t oldest_seen() noexcept nogil:
    """The oldest epoch a thread inside holds on to. REQUIRES: the lock, so that nothing is retired meanwhile."""
    cdef uint64_t oldest = UINT64_MAX
    cdef uint64_t seen
    cdef int i
    for i in range(quiet.threads_end):
        seen = load_seq_cst(&threads[i].seen)
        if seen != 0 and seen < oldest:
            oldest = seen
    return oldest


cdef void list_add(RetiredList* list, Retired* note) noexcept nogil:
    """Gives the note its epoch. REQUIRES: the lock."""
    note.next = NULL
    note.epoch = add_seq_cst(&epoch_before, 1) + 1
    if list.last == NULL:
        list.first = note
    else:
        invariant(list.last.epoch < note.epoch)
        list.last.next = note
    list.last = note
    add_relaxed_u64(&quiet.waiting, 1)


cdef Retired* list_detach(RetiredList* list, uint64_t oldest, uint64_t* count_max) noexcept nogil:
    """Takes out up to `count_max` notes (and lowers it) that are not younger than `oldest`: a chain.
    REQUIRES: the lock, without a break since oldest_seen."""
    cdef Retired* chain = list.first
    cdef Retired* last = NULL
    while list.first != NULL and list.first.epoch <= oldest and count_max[0] > 0:
        last = list.first
        list.first = last.next
        count_max[0] -= 1
    if last == NULL:
        return NULL
    if list.first == NULL:
        list.last = NULL
    last.next = NULL
    return chain


cdef uint64_t free_chain(Retired* chain) noexcept nogil:
    """Frees what was detached; how many. REQUIRES: the lock is not held."""
    cdef Retired* note
    cdef uint64_t count = 0
    while chain != NULL:
        note = chain
        chain = note.next           # before `free`, which may free the note
        note.free(note.pointer, note.context)
        count += 1
    add_relaxed_u64(&quiet.waiting, 0 - count)
    return count


# --- retiring

cdef inline void note_fill(Retired* note, void* pointer, FreeFunction free, void* context) noexcept nogil:
    invariant(note != NULL and free != NULL)
    note.pointer = pointer
    note.free = free
    note.context = context


cdef void free_with_note(void* memory, void* unused) noexcept nogil:
    """Frees what a HeapNote names, then the HeapNote."""
    cdef HeapNote* note = <HeapNote*> memory
    invariant(unused == NULL)
    note.free(note.pointer, note.context)
    memory_free(note)


cdef bint quiet_retire(void* pointer, FreeFunction free, void* context) noexcept nogil:
    cdef HeapNote* note = <HeapNote*> memory_new(sizeof(HeapNote))
    invariant(free != NULL)
    if note == NULL:
        return False
    note.pointer = pointer
    note.free = free
    note.context = context
    quiet_retire_noted(&note.note, note, free_with_note, NULL)
    return True


cdef void quiet_retire_noted(Retired* note, void* pointer, FreeFunction free, void* context) noexcept nogil:
    note_fill(note, pointer, free, context)
    spin_lock(&quiet.lock)
    list_add(&quiet.others, note)
    spin_unlock(&quiet.lock)


cdef void quiet_retire_array(Retired* note, void* pointer, FreeFunction free, void* context) noexcept nogil:
    cdef uint64_t count_max = ARRAYS_FREED_MAX
    cdef Retired* chain
    note_fill(note, pointer, free, context)
    spin_lock(&quiet.lock)
    list_add(&quiet.arrays, note)
    chain = list_detach(&quiet.arrays, oldest_seen(), &count_max)
    spin_unlock(&quiet.lock)
    free_chain(chain)


cdef uint64_t quiet_reclaim(uint64_t count_max) noexcept nogil:
    cdef Retired* arrays
    cdef Retired* others
    cdef uint64_t oldest
    if load_relaxed_u64(&quiet.waiting) == 0:
        return 0
    spin_lock(&quiet.lock)
    oldest = oldest_seen()
    arrays = list_detach(&quiet.arrays, oldest, &count_max)
    others = list_detach(&quiet.others, oldest, &count_max)
    spin_unlock(&quiet.lock)
    return free_chain(arrays) + free_chain(others)


cdef uint64_t quiet_waiting() noexcept nogil:
    return load_relaxed_u64(&quiet.waiting)
