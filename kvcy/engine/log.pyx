# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The log's ring: appending to it, and waiting for the flusher. See log.pxd.

A position lies in the ring at `position` modulo its size. The checksum covers the operations first, so that this part
of it is done before the lock is taken; under the lock there remain the header's 28 bytes and the copying.

A record larger than the room in the ring is put in piece by piece, under the lock: `filled` tells the flusher how far
it is. `durable` is only ever the end of a record, or a record could later be taken for vouched for that never was.

Whoever appends holds locks of shards, and is a thread that serves others. So it does not wait for a full disk, nor for
long for a slow one: it makes a ring that takes the rest of its record, and copies what is in the old one, which stays
for the flusher to finish its write from. The first ring comes back with the first record after the flusher has taken
everything. Only when there is no memory for that, or the disk is not full and the ring has grown RING_GROWTH_MAX times
already, does it wait.

Waking: see futex.pxd for the order of loads and stores. The flusher sets `sleeping` and looks again at `appended`; an
appender stores `appended` and (in log_kick) looks at `sleeping`.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvcy.engine.checksum cimport crc32c
from kvcy.engine.futex cimport (
    add_ordered_u32, futex_wait, futex_wake, load_ordered_u32, load_ordered_u64, raise_u64, store_ordered_u32,
    store_ordered_u64, swap_ordered_u32, swap_ordered_u64,
)
from kvcy.engine.log_format cimport RECORD_HEADER_BYTES, RECORD_SIZE_MAX, RecordHeader, record_space
from kvcy.engine.memory cimport (
    memory_array_free, memory_array_new, memory_array_set_leaving, memory_free, memory_new, memory_new_zeroed,
)
from kvcy.engine.platform cimport (
    add_own_u64, invariant, likely, load_acquire_u64, load_relaxed_u32, load_relaxed_u64, store_release_u32, unlikely)
from kvcy.engine.rwlock cimport spin_lock

cdef enum:
    RING_GROWTH = 4                 # times
    RING_GROWTH_MAX = 16            # times the first, for a disk that is only slow
    ROOM_WAIT_NS = 500000           # for a flusher that is not at rest, before the ring grows

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd_write(int fd, uint64_t value)

cdef extern from *:
    """
    static const char kvcy_log_zeros[8];
    /* A wake-up that cannot be written has no consequence but a later look. */
    #define kvcy_event(fd) do { if (eventfd_write((fd), 1) != 0) {} } while (0)
    """
    const char* kvcy_log_zeros
    void kvcy_event(int fd) nogil


# --- the ring

cdef inline void ring_put(Log* log, uint64_t position, const char* data, size_t size) noexcept nogil:
    """REQUIRES: the lock; the ring has room."""
    cdef const LogRing* ring = log.ring
    cdef size_t place = position & (ring.bytes - 1)
    cdef size_t before_end = ring.bytes - place
    if likely(size <= before_end):
        memcpy(ring.data + place, data, size)
    else:
        memcpy(ring.data + place, data, before_end)
        memcpy(ring.data, data + before_end, size - before_end)


cdef bint ring_grow(Log* log, uint64_t position, uint64_t end) noexcept nogil:
    """Goes on with a ring that has room from `position` to `end`; false: no memory. REQUIRES: the lock."""
    cdef const LogRing* old = log.ring
    cdef LogRing* ring = <LogRing*> memory_new(sizeof(LogRing))
    cdef uint64_t at = load_ordered_u64(&log.taken)
    cdef uint64_t place, size
    if ring == NULL:
        return False
    ring.before = log.ring
    ring.bytes = old.bytes
    while ring.bytes < end - at:
        ring.bytes *= RING_GROWTH
    ring.data = <char*> memory_array_new(ring.bytes)
    if ring.data == NULL:
        memory_free(ring)
        return False
    memory_array_set_leaving(ring.bytes, True)      # no data: maxmemory does not count it
    while at < position:
        place = at & (old.bytes - 1)
        size = min(position - at, old.bytes - place)
        size = min(size, ring.bytes - (at & (ring.bytes - 1)))
        memcpy(ring.data + (at & (ring.bytes - 1)), old.data + place, size)
        at += size
    store_ring(&log.ring, ring)
    return True


cdef void ring_shrink(Log* log) noexcept nogil:
    """Goes back to the first ring. REQUIRES: the lock, and that the flusher has taken everything; or nobody else."""
    cdef LogRing* ring = log.ring
    cdef LogRing* before
    store_ring(&log.ring, &log.first)
    while ring != &log.first:
        before = ring.before
        memory_array_set_leaving(ring.bytes, False)
        memory_array_free(ring.data, ring.bytes)
        memory_free(ring)
        ring = before


cdef uint64_t wait_for_room(Log* log, uint64_t position, uint64_t end) noexcept nogil:
    """The bytes of room behind `position`, waiting until there are some. 0: there never will be, the log has ended.
    REQUIRES: the lock."""
    cdef uint64_t room, most
    cdef uint32_t word
    cdef bint waited = False
    while True:
        room = log.ring.bytes - (position - load_ordered_u64(&log.taken))
        if room > 0:
            return room
        word = load_ordered_u32(&log.room_word)
        store_ordered_u32(&log.room_wanted, 1)
        if load_ordered_u64(&log.taken) + log.ring.bytes > position:
            continue
        if load_ordered_u32(&log.ended):
            return 0
        most = log.first.bytes * RING_GROWTH_MAX if waited else 0
        if (log_state(log) == LOG_FULL or end - load_ordered_u64(&log.taken) <= most) and ring_grow(log, position, end):
            continue
        log_wake(log)
        futex_wait(&log.room_word, word, -1 if waited else <int64_t> ROOM_WAIT_NS)
        waited = True


cdef uint64_t ring_put_slowly(Log* log, uint64_t position, const char* data, size_t size, uint64_t end) noexcept nogil:
    """As ring_put, waiting for room where there is too little; the position behind. `end`: of the record.
    REQUIRES: the lock."""
    cdef uint64_t room
    while size > 0:
        room = wait_for_room(log, position, end)
        if unlikely(room == 0):
            # Nobody writes any more, and this record must not be taken for one.
            store_ordered_u32(&log.state, LOG_BROKEN)
            return position + size
        if room > size:
            room = size
        ring_put(log, position, data, room)
        position += room
        data += room
        size -= room
        store_ordered_u64(&log.filled, position)
    return position


cdef uint64_t log_append(Log* log, const LogPiece* pieces, size_t count, int64_t time_ms) noexcept nogil:
    cdef RecordHeader header
    cdef uint64_t size = 0
    cdef uint32_t crc = log.seed
    cdef uint64_t place, end
    cdef size_t i
    for i in range(count):
        crc = crc32c(crc, pieces[i].data, pieces[i].size)
        size += pieces[i].size
    invariant(0 < size <= RECORD_SIZE_MAX)
    header.size = <uint32_t> size
    header.time_ms = <uint64_t> time_ms
    spin_lock(&log.lock)
    if unlikely(log.ring != &log.first) and load_ordered_u64(&log.taken) == log.appended:
        ring_shrink(log)
    header.position = log.appended
    header.durable = load_relaxed_u64(&log.durable)
    header.crc = crc32c(crc, &header.size, RECORD_HEADER_BYTES - sizeof(uint32_t))
    place = header.position
    end = place + record_space(size)
    invariant(header.durable <= place)
    if likely(end - load_acquire_u64(&log.taken) <= log.ring.bytes):
        ring_put(log, place, <const char*> &header, RECORD_HEADER_BYTES)
        place += RECORD_HEADER_BYTES
        for i in range(count):
            ring_put(log, place, pieces[i].data, pieces[i].size)
            place += pieces[i].size
        ring_put(log, place, kvcy_log_zeros, end - place)
    else:
        place = ring_put_slowly(log, place, <const char*> &header, RECORD_HEADER_BYTES, end)
        for i in range(count):
            place = ring_put_slowly(log, place, pieces[i].data, pieces[i].size, end)
        ring_put_slowly(log, place, kvcy_log_zeros, end - place, end)
    add_own_u64(&log.records, 1)
    store_ordered_u64(&log.appended, end)
    store_release_u32(&log.lock, 0)
    if unlikely(end - load_relaxed_u64(&log.taken) > log.first.bytes >> 1):
        log_wake(log)
    return end


# --- waking and waiting

cdef void log_wake(Log* log) noexcept nogil:
    if load_ordered_u32(&log.sleeping) != AWAKE and swap_ordered_u32(&log.sleeping, AWAKE) != AWAKE:
        futex_wake(&log.sleeping)


cdef bint log_wait(Log* log, uint64_t position) noexcept nogil:
    cdef bint durable = log_durable(log) >= position
    cdef uint32_t word
    invariant(position <= log_appended(log))
    if durable:
        return True
    raise_u64(&log.wanted, position)
    add_ordered_u32(&log.waiting, 1)
    while True:
        word = load_ordered_u32(&log.durable_word)
        durable = log_durable(log) >= position
        if durable or log_state(log) == LOG_BROKEN or load_ordered_u32(&log.ended):
            break
        log_wake(log)
        futex_wait(&log.durable_word, word, -1)
    add_ordered_u32(&log.waiting, <uint32_t> -1)
    return durable


cdef void log_set_policy(Log* log, LogPolicy policy) noexcept nogil:
    store_ordered_u32(&log.policy, policy)
    raise_u64(&log.wanted, log_appended(log))       # somebody may wait for what the new policy would not sync
    log_wake(log)


cdef void log_give_room(Log* log, uint64_t position) noexcept nogil:
    """The flusher is done with the ring up to `position`."""
    invariant(position >= log.taken)
    store_ordered_u64(&log.taken, position)
    log_tell_appenders(log)


cdef void log_tell_appenders(Log* log) noexcept nogil:
    """Lets whoever waits for room look again."""
    if unlikely(load_ordered_u32(&log.room_wanted) != 0):
        store_ordered_u32(&log.room_wanted, 0)
        add_ordered_u32(&log.room_word, 1)
        futex_wake(&log.room_word)


cdef void log_publish(Log* log, uint64_t durable) noexcept nogil:
    """All up to `durable` is on disk."""
    invariant(durable <= log.written)
    if durable > log.durable:
        store_ordered_u64(&log.durable, durable)
        log_tell(log)


cdef void log_tell(Log* log) noexcept nogil:
    """Wakes whoever waits for what has come true, or everybody if there is nothing more to wait for."""
    cdef bint over = log_state(log) == LOG_BROKEN or load_ordered_u32(&log.ended) != 0
    cdef LogSubscriber* subscriber
    cdef uint64_t wanted
    cdef int i
    if load_ordered_u32(&log.waiting) != 0:
        add_ordered_u32(&log.durable_word, 1)
        futex_wake(&log.durable_word)
    spin_lock(&log.subscribers_lock)
    for i in range(LOG_SUBSCRIBERS_MAX):
        subscriber = &log.subscribers[i]
        wanted = load_ordered_u64(&subscriber.wanted)
        if wanted != 0 and (over or wanted <= log.durable) and swap_ordered_u64(&subscriber.wanted, 0) != 0:
            kvcy_event(subscriber.event_fd)
    store_release_u32(&log.subscribers_lock, 0)


# --- subscribers

cdef LogSubscriber* log_subscribe(Log* log, int event_fd) noexcept nogil:
    cdef LogSubscriber* found = NULL
    cdef int i
    invariant(event_fd >= 0)
    spin_lock(&log.subscribers_lock)
    for i in range(LOG_SUBSCRIBERS_MAX):
        if log.subscribers[i].event_fd < 0:
            found = &log.subscribers[i]
            found.event_fd = event_fd
            break
    store_release_u32(&log.subscribers_lock, 0)
    return found


cdef void log_unsubscribe(Log* log, LogSubscriber* subscriber) noexcept nogil:
    invariant(subscriber.event_fd >= 0)
    spin_lock(&log.subscribers_lock)
    store_ordered_u64(&subscriber.wanted, 0)
    subscriber.event_fd = -1
    store_release_u32(&log.subscribers_lock, 0)


cdef bint log_want(Log* log, LogSubscriber* subscriber, uint64_t position) noexcept nogil:
    invariant(position > 0)
    store_ordered_u64(&subscriber.wanted, position)
    if log_durable(log) < position and log_state(log) != LOG_BROKEN and not load_ordered_u32(&log.ended):
        return False
    store_ordered_u64(&subscriber.wanted, 0)
    return True


# --- memory and figures

cdef Log* log_new(uint64_t ring_bytes) noexcept nogil:
    cdef Log* log = <Log*> memory_new_zeroed(sizeof(Log))
    cdef int i
    invariant(ring_bytes >= 64 and (ring_bytes & (ring_bytes - 1)) == 0)
    if log == NULL:
        return NULL
    log.first.data = <char*> memory_array_new(ring_bytes)
    if log.first.data == NULL:
        memory_free(log)
        return NULL
    memory_array_set_leaving(ring_bytes, True)
    log.first.bytes = ring_bytes
    log.ring = &log.first
    for i in range(LOG_SUBSCRIBERS_MAX):
        log.subscribers[i].event_fd = -1
    return log


cdef void log_free(Log* log) noexcept nogil:
    invariant(load_relaxed_u32(&log.lock) == 0)
    ring_shrink(log)
    memory_array_set_leaving(log.first.bytes, False)
    memory_array_free(log.first.data, log.first.bytes)
    memory_free(log)


cdef LogStatistics log_statistics(const Log* log) noexcept nogil:
    cdef LogStatistics statistics
    statistics.records = load_relaxed_u64(&log.records)
    statistics.bytes = load_relaxed_u64(&log.appended) - log.began
    statistics.writes = load_relaxed_u64(&log.writes)
    statistics.syncs = load_relaxed_u64(&log.syncs)
    statistics.sync_last_us = load_relaxed_u64(&log.sync_last_us)
    statistics.sync_max_us = load_relaxed_u64(&log.sync_max_us)
    statistics.sync_total_us = load_relaxed_u64(&log.sync_total_us)
    return statistics
