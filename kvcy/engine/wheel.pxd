# cython: language_level=3
"""The hierarchical timing wheel: the entries of one partition that expire, found when they are due.

Time is counted in ticks of 8 ms since 1970; an entry is due at the first tick not before its expire_ms, so it is found
up to 7 ms late, and never early. Level L has 64 slots of 64^L ticks:

    level            0       1       2       3         4         5            6
    a slot        8 ms  512 ms    33 s  35 min      37 h  100 days     17 years
    the level   512 ms    33 s  35 min    37 h  100 days  17 years  1,115 years    and one list of what is later

An entry lies in the lowest level that reaches as far, in the slot of its tick. `base` is the tick up to which slots
have been *collected*: wheel_advance moves it to the present and hangs the lists of the slots that it passes, each as
a whole, behind one of two: `due` those of level 0, `spread` those of higher levels. Both are then worked off entry by
entry (wheel_next), `due` first: an entry that is due is answered, another is put into the slot that now is its own. A
slot of a higher level is collected twice, an eighth of its width before it begins and when it begins. So those that
are due right at its beginning lie in level 0 by then, and do not wait behind the thousands that must only be spread.

An entry whose expiry is put off stays where it is, and is spread when its old slot is collected; only one that is to
expire earlier moves (wheel_changed). Keys that are refreshed again and again so cost nothing here.

Lists are doubly linked by handles in the entries (entry.pxd: EntryExpiry). No handle is below 8192 (arena.pxd), so the
outer links of a list hold the list's number: an entry is taken out without knowing where it is.

Clocks: a jump forward collects up to 64 slots a level at once, by links, whatever is in them. After one backward by
more than WHEEL_BACK_MS everything is spread anew; by less, the wheel waits until its time has come again. Whether an
entry is due is asked of its expire_ms and the present alone: none is ever removed early.

REQUIRES for all calls: the shard's lock, exclusively; shared for wheel_wake_ms.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.arena cimport Arena

cdef enum:
    WHEEL_TICK_SHIFT = 3         # a tick is 2^3 ms
    WHEEL_LEVELS = 7
    WHEEL_LISTS = 451            # WHEEL_LEVELS * 64 slots, then three lists more
    WHEEL_BACK_MS = 1000

cdef extern from *:
    """
    #define KVCY_WHEEL_NEVER  INT64_MAX
    """
    const int64_t WHEEL_NEVER "KVCY_WHEEL_NEVER"

cdef struct WheelList:
    uint32_t first               # handles; 0: empty
    uint32_t last

cdef struct Wheel:
    int64_t base                 # the tick up to which slots have been collected
    uint64_t count               # entries in the wheel
    uint64_t occupied[7]         # a bit for each slot that is not empty, by level
    WheelList lists[451]         # WHEEL_LISTS

cdef Wheel* wheel_new() noexcept nogil                   # NULL: no memory
cdef void wheel_free(Wheel* wheel) noexcept nogil        # of NULL too. The entries are not touched
# Adds an entry with ENTRY_EXPIRES whose expire_ms is set. REQUIRES: it is in no wheel.
cdef void wheel_add(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil
cdef void wheel_remove(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil
# The entry's expire_ms was `old_ms` before. REQUIRES: it is in the wheel.
cdef void wheel_changed(Wheel* wheel, Arena* arena, uint32_t handle, int64_t old_ms) noexcept nogil
# The entry was copied to `handle`, its links with it: mends its neighbours.
cdef void wheel_moved(Wheel* wheel, Arena* arena, uint32_t handle) noexcept nogil
# Moves `base` to the tick of `now_ms`.
cdef void wheel_advance(Wheel* wheel, Arena* arena, int64_t now_ms) noexcept nogil
# An entry that is due, which stays in the wheel; 0 when none is left, or `looks` entries have been looked at (it counts
# them down).
cdef uint32_t wheel_next(Wheel* wheel, Arena* arena, int64_t now_ms, uint32_t* looks) noexcept nogil
# When there will next be something to do, Unix time in ms: at or before `now_ms`: now. WHEEL_NEVER: the wheel is empty.
cdef int64_t wheel_wake_ms(const Wheel* wheel, int64_t now_ms) noexcept nogil
