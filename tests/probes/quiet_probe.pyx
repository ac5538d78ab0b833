# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/quiet.pxd for the tests: what is retired is a number; freeing it puts it down in `freed`."""
from libc.stdint cimport uint64_t

from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.engine.platform cimport load_relaxed_u64, store_relaxed_u64
from kvcy.engine.quiet cimport (
    QUIET_THREADS_MAX, Retired, quiet_enter, quiet_leave, quiet_pass, quiet_reclaim, quiet_register, quiet_retire,
    quiet_retire_array, quiet_retire_noted, quiet_unregister, quiet_waiting,
)

THREADS_MAX = QUIET_THREADS_MAX

cdef enum:
    ITEMS = 64

cdef struct Freed:
    size_t items[1024]
    int count

cdef Freed freed
cdef Retired notes[ITEMS]


cdef void put_down(void* pointer, void* context) noexcept nogil:
    freed.items[freed.count & 1023] = <size_t> pointer + <size_t> context
    freed.count += 1


def take_freed() -> list[int]:
    """What was freed since the last call."""
    found = [freed.items[i] for i in range(freed.count)]
    freed.count = 0
    return found


def register() -> int:
    return quiet_register()


def unregister(int thread) -> None:
    quiet_unregister(thread)


def enter(int thread) -> None:
    quiet_enter(thread)


def pass_(int thread) -> None:
    quiet_pass(thread)


def leave(int thread) -> None:
    quiet_leave(thread)


def retire(size_t pointer, size_t context=0) -> bool:
    return quiet_retire(<void*> pointer, put_down, <void*> context)


def retire_noted(int note, size_t pointer) -> None:
    quiet_retire_noted(&notes[note], <void*> pointer, put_down, NULL)


def retire_array(int note, size_t pointer) -> None:
    quiet_retire_array(&notes[note], <void*> pointer, put_down, NULL)


def reclaim(uint64_t count_max=1000) -> int:
    return quiet_reclaim(count_max)


def waiting() -> int:
    return quiet_waiting()


def fail_after(uint64_t count) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()


# --- with threads: readers follow a pointer without a lock while a writer replaces what it points to

cdef struct Item:
    uint64_t alive
    Retired note

cdef Item items[ITEMS]
cdef uint64_t published              # index of the item that readers look at
cdef uint64_t stop
cdef uint64_t dead_seen


cdef void kill_item(void* pointer, void* context) noexcept nogil:
    store_relaxed_u64(&(<Item*> pointer).alive, 0)


def start_reading() -> None:
    store_relaxed_u64(&stop, 0)
    store_relaxed_u64(&dead_seen, 0)
    store_relaxed_u64(&items[0].alive, 1)
    store_relaxed_u64(&published, 0)


def read(int thread, uint64_t turns) -> int:
    """Follow the pointer `turns` times; how often the item was dead."""
    cdef uint64_t turn
    cdef uint64_t index
    cdef uint64_t _look
    cdef uint64_t dead = 0
    with nogil:
        quiet_enter(thread)
        for turn in range(turns):
            index = load_relaxed_u64(&published)
            for _look in range(20):
                dead += load_relaxed_u64(&items[index].alive) == 0
            if turn % 64 == 63:
                quiet_leave(thread)
                quiet_enter(thread)
            else:
                quiet_pass(thread)
        quiet_leave(thread)
    return dead


def replace(uint64_t turns) -> int:
    """Publish another item and retire the one before, `turns` times; how many were reclaimed."""
    cdef uint64_t turn
    cdef uint64_t index = load_relaxed_u64(&published)
    cdef uint64_t next_index
    cdef uint64_t reclaimed = 0
    with nogil:
        for turn in range(turns):
            next_index = (index + 1) % ITEMS
            if load_relaxed_u64(&items[next_index].alive) != 0:
                reclaimed += quiet_reclaim(8)
                continue                                     # still waiting to be freed
            store_relaxed_u64(&items[next_index].alive, 1)
            store_relaxed_u64(&published, next_index)
            quiet_retire_noted(&items[index].note, &items[index], kill_item, NULL)
            index = next_index
            if turn % 4 == 0:
                reclaimed += quiet_reclaim(8)
    return reclaimed
