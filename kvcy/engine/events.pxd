# cython: language_level=3
"""Keyspace events: what happened to a key, for those who asked to be told (notify-keyspace-events).

docs/events.md has the table of events and the design. Whoever changes a key raises the event, under the lock of the
key's shard; while no class is asked for that costs a load and a branch. An event is counted and handed to the sink.
"""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.platform cimport load_relaxed_u32, unlikely

cdef enum EventClass:                    # bits; the letters of notify-keyspace-events
    EVENTS_GENERIC = 1 << 0              # g
    EVENTS_STRING = 1 << 1               # $
    EVENTS_LIST = 1 << 2                 # l
    EVENTS_SET = 1 << 3                  # s
    EVENTS_HASH = 1 << 4                 # h
    EVENTS_ZSET = 1 << 5                 # z
    EVENTS_EXPIRED = 1 << 6              # x
    EVENTS_EVICTED = 1 << 7              # e
    EVENTS_STREAM = 1 << 8               # t
    EVENTS_MODULE = 1 << 9               # d
    EVENTS_NEW = 1 << 10                 # n
    EVENTS_KEYSPACE = 1 << 11            # K: told on __keyspace@<db>__:<key>
    EVENTS_KEYEVENT = 1 << 12            # E: told on __keyevent@<db>__:<event>
    EVENTS_KEY_MISS = 1 << 13            # m

cdef enum Event:                         # a place in events.pyx's table of names and classes
    EVENT_APPEND = 0
    EVENT_COPY_TO
    EVENT_DEL
    EVENT_EVICTED
    EVENT_EXPIRE
    EVENT_EXPIRED
    EVENT_INCRBY
    EVENT_INCRBYFLOAT
    EVENT_KEYMISS
    EVENT_MOVE_FROM
    EVENT_MOVE_TO
    EVENT_NEW
    EVENT_PERSIST
    EVENT_RENAME_FROM
    EVENT_RENAME_TO
    EVENT_SET
    EVENT_SETRANGE
    EVENTS_COUNT

# Called under the lock of the key's shard (shared for a key miss, else exclusive), by any thread, several at a time for
# keys of different shards. The key is valid during the call only. It may not take a shard's lock, nor wait.
ctypedef void (*EventSink)(void* context, Event event, int database, const char* key, size_t key_size) noexcept nogil

cdef struct Events:                      # zeroed: nobody asks for any
    uint32_t classes                     # atomic: EventClass bits; 0 unless K or E is among them
    EventSink sink                       # NULL: events are only counted. Changed with all shards locked exclusively
    void* sink_context
    uint64_t counts[32]                  # atomic statistics: [EVENTS_COUNT]

# Any thread. `classes` as the option has them: without K and E nobody is told, and nothing is raised.
cdef void events_configure(Events* events, uint32_t classes) noexcept nogil
# Counts the event and hands it to the sink if its class is asked for.
cdef void event_tell(Events* events, Event event, int database, const char* key, size_t key_size) noexcept nogil

cdef inline bint events_wanted(const Events* events) noexcept nogil:
    """Whether any event is asked for."""
    return unlikely(load_relaxed_u32(&events.classes) != 0)

cdef inline void event_raise(Events* events, Event event, int database, const char* key,
                             size_t key_size) noexcept nogil:
    """REQUIRES: the lock of the key's shard; the change has been applied, or will be before the lock is released (where
    the key is the removed entry's own bytes)."""
    if events_wanted(events):
        event_tell(events, event, database, key, key_size)
