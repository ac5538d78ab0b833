# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Slabs for blocks: see block_heap.pxd.

A cell is the lowest free one of the first slab in the list of those with room, so a slab fills from below, and what was
never used is not resident. A slab that empties goes back to the system, unless it is the only one with room: setting
and deleting one value does not call the system each time. For the same reason some large cells that were freed last
(the *hot* ones) keep their pages until the next plan, where that is not much of all; the pages of others are dropped.

A plan counts, for each size, the cells in use of the slabs with room. The fullest slabs that can hold them all stay;
of the last of these only as many cells stay as the others have no room for; all else is to be moved. Nobody but the
owner of a block can move it, so the plan only tells (block_heap_leaves), while allocations come from what stays.

What always holds: a slab is in the list of its size's roomy slabs, or in that of the leaving ones, or it is full, or
held by the thread that plans.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.memory cimport memory_drop
from kvcy.engine.platform cimport (
    add_acq_rel_u32, add_relaxed_u64, invariant, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32,
    store_relaxed_u64)
from kvcy.engine.rwlock cimport spin_lock, spin_unlock
from kvcy.engine.slab cimport (
    BITMAP_WORDS, CELLS_MAX, CLASSES, HOT_CELLS_MAX, KEEPS_ALL, SLAB_FULL, SLAB_HELD, SLAB_LEAVING, SLAB_ROOMY,
    SMALL_BYTES_MAX, SMALL_CLASSES, SYSTEM_PAGE_BYTES, Slab, SlabClass, cell_at, cell_bytes, cell_of, class_of, poison,
    slab_cells, slab_free, slab_list, slab_new, slab_of, unpoison)

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t) nogil

cdef enum:
    PLAN_SLABS = 1024                # of a size, that one plan looks at
    PLAN_BYTES_MIN = 524288          # less idle memory is not worth a plan
    PLAN_SHARE = 48                  # nor is less than this part of what is in use
    TRIM_BYTES_MIN = 16384           # nor fewer of one slab
    HOT_SHARE = 64                   # of what is in use, that hot cells may be
    HOT_BYTES_MIN = 2097152          # or so much

cdef SlabClass[CLASSES] classes
cdef uint64_t used_bytes             # atomic: cells in use
cdef uint64_t slack_bytes            # atomic
cdef uint64_t hot_bytes              # atomic: of them, the hot cells'
cdef uint64_t plan_from_bytes        # of slack, since the last plan could not move enough; 0: as PLAN_SHARE says
cdef uint64_t plan_slack_bytes       # when the plan began
cdef uint32_t planning               # atomic


cdef size_t block_heap_room(size_t size) noexcept nogil:
    if size <= SMALL_BYTES_MAX:
        return cell_bytes(class_of(size))
    return (size + SYSTEM_PAGE_BYTES - 1) & ~<size_t> (SYSTEM_PAGE_BYTES - 1)


cdef bint block_heap_same_cell(size_t size, size_t new_size) noexcept nogil:
    return class_of(size) == class_of(new_size)


cdef inline void count_holes(uint32_t number, int64_t holes) noexcept nogil:
    """More free cells below `fresh`, or fewer. Of large cells none is resident."""
    if number < SMALL_CLASSES:
        add_relaxed_u64(&slack_bytes, <uint64_t> (holes * <int64_t> cell_bytes(number)))


cdef char* take_cell(SlabClass* sizes, uint32_t number) noexcept nogil:
    """REQUIRES: the lock. NULL: no slab has room."""
    cdef Slab* slab = sizes.roomy.first
    cdef uint32_t word = 0
    cdef uint32_t cell
    if slab == NULL:
        return NULL
    while slab.free[word] == 0:          # ends: it has room
        word += 1
        invariant(word < BITMAP_WORDS)
    cell = word * 64 + <uint32_t> lowest_bit(slab.free[word])
    slab.free[word] &= slab.free[word] - 1
    slab.used += 1
    if cell < slab.fresh:
        count_holes(number, -1)
    else:
        slab.fresh = cell + 1
    if slab.used == slab_cells(number):
        store_relaxed_u32(&slab.keep, <uint32_t> KEEPS_ALL)
        slab_list(sizes, slab, SLAB_FULL, False)
    return cell_at(slab, number, cell)


cdef char* hot_take(SlabClass* sizes, uint32_t number) noexcept nogil:
    """REQUIRES: the lock, and a hot cell."""
    sizes.hot_count -= 1
    add_relaxed_u64(&hot_bytes, 0 - <uint64_t> cell_bytes(number))
    add_relaxed_u64(&slack_bytes, 0 - <uint64_t> cell_bytes(number))
    return sizes.hot[sizes.hot_count]


cdef void* block_heap_new(size_t size) noexcept nogil:
    cdef uint32_t number = class_of(size)
    cdef SlabClass* sizes = &classes[number]
    cdef Slab* slab
    cdef char* cell
    spin_lock(&sizes.lock)
    if sizes.hot_count:
        cell = hot_take(sizes, number)
    else:
        cell = take_cell(sizes, number)
    spin_unlock(&sizes.lock)
    if cell == NULL:
        slab = slab_new(number)
        if slab == NULL:
            return NULL
        spin_lock(&sizes.lock)
        slab_list(sizes, slab, SLAB_ROOMY, True)
        cell = take_cell(sizes, number)
        spin_unlock(&sizes.lock)
    invariant(cell != NULL)
    unpoison(cell, cell_bytes(number))
    add_relaxed_u64(&used_bytes, cell_bytes(number))
    return cell


cdef bint slab_goes(SlabClass* sizes, uint32_t number, Slab* slab) noexcept nogil:
    """Takes an empty slab out of its list, to be unmapped, unless it stays. REQUIRES: the lock."""
    if slab.used or slab.listed == SLAB_HELD:
        return False
    if slab.listed == SLAB_ROOMY and sizes.roomy.first == sizes.roomy.last:
        return False
    slab_list(sizes, slab, SLAB_HELD, False)
    count_holes(number, -<int64_t> slab.fresh)
    return True


cdef void give_cell(uint32_t number, char* memory) noexcept nogil:
    cdef SlabClass* sizes = &classes[number]
    cdef Slab* slab = slab_of(memory, number)
    cdef uint32_t cell = cell_of(memory, number)
    cdef bint goes
    spin_lock(&sizes.lock)
    invariant(slab.used > 0 and cell < slab.fresh and cell_at(slab, number, cell) == memory)
    invariant(not slab.free[cell >> 6] >> (cell & 63) & 1)
    slab.free[cell >> 6] |= <uint64_t> 1 << (cell & 63)
    slab.used -= 1
    count_holes(number, 1)
    if slab.listed == SLAB_FULL:
        slab_list(sizes, slab, SLAB_ROOMY, True)
    goes = slab_goes(sizes, number, slab)
    spin_unlock(&sizes.lock)
    if goes:
        slab_free(slab, number)


cdef void give_large_cell(uint32_t number, char* cell) noexcept nogil:
    memory_drop(cell, cell_bytes(number))
    give_cell(number, cell)


cdef bint hot_keep(uint32_t number, char* cell) noexcept nogil:
    """Makes the cell a hot one, unless there are enough of them."""
    cdef SlabClass* sizes = &classes[number]
    cdef uint64_t most = max(load_relaxed_u64(&used_bytes) // HOT_SHARE, <uint64_t> HOT_BYTES_MIN)
    cdef bint keeps
    spin_lock(&sizes.lock)
    keeps = sizes.hot_count < HOT_CELLS_MAX and load_relaxed_u64(&hot_bytes) + cell_bytes(number) <= most
    if keeps:
        sizes.hot[sizes.hot_count] = cell
        sizes.hot_count += 1
        add_relaxed_u64(&hot_bytes, cell_bytes(number))
        add_relaxed_u64(&slack_bytes, cell_bytes(number))
    spin_unlock(&sizes.lock)
    return keeps


cdef void hot_drop_all(uint32_t number) noexcept nogil:
    cdef SlabClass* sizes = &classes[number]
    cdef char* cell = NULL
    cdef bint more = True
    while more:                              # ends: there are few, and more come only where somebody frees
        spin_lock(&sizes.lock)
        more = sizes.hot_count > 0
        if more:
            cell = hot_take(sizes, number)
        spin_unlock(&sizes.lock)
        if more:
            give_large_cell(number, cell)


cdef void block_heap_free(void* memory, size_t size) noexcept nogil:
    cdef uint32_t number = class_of(size)
    add_relaxed_u64(&used_bytes, 0 - <uint64_t> cell_bytes(number))
    poison(memory, cell_bytes(number))
    if number < SMALL_CLASSES:
        give_cell(number, <char*> memory)
    elif not hot_keep(number, <char*> memory):
        give_large_cell(number, <char*> memory)


cdef uint64_t block_heap_slack() noexcept nogil:
    return load_relaxed_u64(&slack_bytes)


# --- compaction

cdef struct Survey:                      # of the roomy slabs of a size that a plan looks at
    uint32_t slabs
    uint64_t used                        # their cells in use
    uint32_t[CELLS_MAX] with_used        # how many slabs have so many


cdef void look(const SlabClass* sizes, Survey* survey) noexcept nogil:
    cdef const Slab* slab = sizes.roomy.first
    memset(survey, 0, sizeof(Survey))
    while slab != NULL and survey.slabs < PLAN_SLABS:
        survey.slabs += 1
        survey.used += slab.used
        survey.with_used[slab.used] += 1
        slab = slab.next


cdef Slab* part(SlabClass* sizes, Survey* survey, uint32_t leave) noexcept nogil:
    """Makes so many slabs leave, the emptiest of those looked at; answers the emptiest of the others."""
    cdef uint32_t left = survey.slabs
    cdef uint32_t below = 0              # slabs with fewer cells in use all leave
    cdef Slab* emptiest = NULL
    cdef Slab* slab = sizes.roomy.first
    cdef Slab* next
    while leave > survey.with_used[below]:       # ends: there are more than `leave`
        leave -= survey.with_used[below]
        below += 1
        invariant(below < CELLS_MAX)
    while left:
        left -= 1
        next = slab.next
        if slab.used < below or (slab.used == below and leave):
            leave -= slab.used == below
            store_relaxed_u32(&slab.keep, 0)
            slab_list(sizes, slab, SLAB_LEAVING, False)
        elif emptiest == NULL or slab.used < emptiest.used:
            emptiest = slab
        slab = next
    return emptiest


cdef bint class_plan(uint32_t number) noexcept nogil:
    cdef SlabClass* sizes = &classes[number]
    cdef uint32_t cells = slab_cells(number)
    cdef uint32_t stay, rest
    cdef Survey survey
    cdef Slab* last
    cdef bint planned = False
    spin_lock(&sizes.lock)
    look(sizes, &survey)
    if survey.slabs:
        stay = <uint32_t> max((survey.used + cells - 1) // cells, <uint64_t> 1)
        rest = <uint32_t> (survey.used - <uint64_t> (stay - 1) * cells)
        planned = stay < survey.slabs
        last = part(sizes, &survey, survey.slabs - stay)
        if last.fresh > rest and <uint64_t> (last.fresh - rest) * cell_bytes(number) >= TRIM_BYTES_MIN:
            planned = True
            store_relaxed_u32(&last.keep, rest)
            slab_list(sizes, last, SLAB_ROOMY, False)      # the others fill up first
    spin_unlock(&sizes.lock)
    return planned


cdef bint block_heap_plan() noexcept nogil:
    global plan_slack_bytes
    cdef uint64_t slack = load_relaxed_u64(&slack_bytes)
    cdef uint64_t worth = max(load_relaxed_u64(&used_bytes) // PLAN_SHARE, <uint64_t> PLAN_BYTES_MIN)
    cdef bint planned = False
    cdef uint32_t number
    if slack < worth:
        store_relaxed_u64(&plan_from_bytes, 0)
        return False
    if slack < load_relaxed_u64(&plan_from_bytes):
        return False
    if add_acq_rel_u32(&planning, 1) != 1:
        add_acq_rel_u32(&planning, <uint32_t> -1)
        return False
    plan_slack_bytes = slack
    for number in range(<uint32_t> SMALL_CLASSES):
        planned |= class_plan(number)
    for number in range(<uint32_t> SMALL_CLASSES, <uint32_t> CLASSES):
        hot_drop_all(number)
    if not planned:
        block_heap_settle()
    return planned


cdef bint block_heap_leaves(const void* memory, size_t size) noexcept nogil:
    cdef uint32_t number = class_of(size)
    return number < SMALL_CLASSES and cell_of(memory, number) >= load_relaxed_u32(&slab_of(memory, number).keep)


cdef void slab_trim(SlabClass* sizes, uint32_t number, Slab* slab, uint32_t fresh) noexcept nogil:
    """Gives back the slab's memory from the cell `fresh` on; then it is as if there were no plan. REQUIRES: it is
    held, so nobody takes a cell of it, and no cell from there on is used."""
    cdef bint goes
    memory_drop(cell_at(slab, number, fresh), <size_t> (slab.fresh - fresh) * cell_bytes(number))
    spin_lock(&sizes.lock)
    count_holes(number, -<int64_t> (slab.fresh - fresh))
    slab.fresh = fresh
    store_relaxed_u32(&slab.keep, <uint32_t> KEEPS_ALL)
    slab_list(sizes, slab, SLAB_ROOMY, False)
    goes = slab_goes(sizes, number, slab)
    spin_unlock(&sizes.lock)
    if goes:
        slab_free(slab, number)


cdef Slab* planned_slab(SlabClass* sizes, uint32_t* fresh) noexcept nogil:
    """The next slab that the plan has changed, held, and how many cells there are up to the last one in use; NULL:
    there is no such slab left."""
    cdef Slab* slab
    spin_lock(&sizes.lock)
    slab = sizes.roomy.last
    if slab == NULL or load_relaxed_u32(&slab.keep) == <uint32_t> KEEPS_ALL:
        slab = sizes.leaving.first
    if slab != NULL:
        slab_list(sizes, slab, SLAB_HELD, False)
        fresh[0] = slab.fresh
        while fresh[0] and slab.free[(fresh[0] - 1) >> 6] >> ((fresh[0] - 1) & 63) & 1:
            fresh[0] -= 1
    spin_unlock(&sizes.lock)
    return slab


cdef void block_heap_settle() noexcept nogil:
    cdef uint32_t number, fresh
    cdef uint64_t slack
    cdef Slab* slab
    for number in range(<uint32_t> SMALL_CLASSES):
        slab = planned_slab(&classes[number], &fresh)
        while slab != NULL:                  # ends: each is then as if there were no plan
            slab_trim(&classes[number], number, slab, fresh)
            slab = planned_slab(&classes[number], &fresh)
    slack = load_relaxed_u64(&slack_bytes)
    store_relaxed_u64(&plan_from_bytes, 0 if slack < plan_slack_bytes * 3 // 4 else slack + slack // 4)
    add_acq_rel_u32(&planning, <uint32_t> -1)


# --- fork(2): nobody is to be in the middle of a change when it copies

def hold() -> None:
    """Locks all sizes, until let_go."""
    for number in range(CLASSES):
        spin_lock(&classes[number].lock)


def let_go() -> None:
    for number in range(CLASSES):
        spin_unlock(&classes[number].lock)
