# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Keyspace events: see events.pxd. Names and classes are those of Redis's documentation ("Keyspace notifications")."""
from kvcy.engine.platform cimport add_relaxed_u64, store_relaxed_u32

EVENTS = (                               # in the order of Event
    ("append", "$"),
    ("copy_to", "g"),
    ("del", "g"),
    ("evicted", "e"),
    ("expire", "g"),
    ("expired", "x"),
    ("incrby", "$"),
    ("incrbyfloat", "$"),
    ("keymiss", "m"),
    ("move_from", "g"),
    ("move_to", "g"),
    ("new", "n"),
    ("persist", "g"),
    ("rename_from", "g"),
    ("rename_to", "g"),
    ("set", "$"),
    ("setrange", "$"),
)
LETTERS = "g$lshzxetdnKEm"               # a bit each, in the order of EventClass and of CONFIG GET
ALL_LETTERS = "g$lshzxetd"               # what A stands for

cdef uint32_t[32] class_of               # [EVENTS_COUNT]
assert len(EVENTS) == EVENTS_COUNT <= 32 and 1 << LETTERS.index("m") == EVENTS_KEY_MISS
for place, (_, letter) in enumerate(EVENTS):
    class_of[<int> place] = 1 << LETTERS.index(letter)


cdef void events_configure(Events* events, uint32_t classes) noexcept nogil:
    store_relaxed_u32(&events.classes, classes if classes & (EVENTS_KEYSPACE | EVENTS_KEYEVENT) else 0)


cdef void event_tell(Events* events, Event event, int database, const char* key, size_t key_size) noexcept nogil:
    if load_relaxed_u32(&events.classes) & class_of[<int> event] == 0:
        return
    add_relaxed_u64(&events.counts[<int> event], 1)
    if events.sink != NULL:
        events.sink(events.sink_context, event, database, key, key_size)
