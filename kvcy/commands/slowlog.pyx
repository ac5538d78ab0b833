# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The slow log and the latency samples of a Service: bounded rings under its lock.

What is noted is copied before the lock is taken, and freed after it was given back. A slow command keeps at most 32
arguments of at most 128 bytes each, and says what it leaves out, as Redis does.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strlen
from kvcy.commands.call cimport deferred_free, deferred_new
from kvcy.commands.types cimport (
    LATENCY_EVENTS, LATENCY_SAMPLES_MAX, SLOW_ARG_BYTES_MAX, SLOW_ARGS_MAX,
    Deferred, LatencyEvent, LatencySample, LatencySeries, Service, Session, SlowEntry,
)
from kvcy.engine.block cimport Bytes
from kvcy.engine.platform cimport store_relaxed_u32
from kvcy.engine.rwlock cimport rwlock_write, rwlock_write_done
from kvcy.protocol.writer cimport format_int


# --- the slow log

cdef size_t more_text(char* text, const char* before, uint64_t count, const char* after) noexcept nogil:
    """`before`count`after` into `text`; returns its size."""
    cdef size_t size = strlen(before)
    memcpy(text, before, size)
    size += format_int(text + size, <int64_t> count)
    memcpy(text + size, after, strlen(after))
    return size + strlen(after)


cdef Deferred* shortened(const Bytes* argv, uint32_t argc) noexcept nogil:
    """A copy of a command with at most 32 arguments of about 128 bytes, cut the way Redis's slow log cuts."""
    cdef Bytes[SLOW_ARGS_MAX] args
    cdef char[SLOW_ARGS_MAX][SLOW_ARG_BYTES_MAX + 48] texts
    cdef uint32_t count = argc if argc <= SLOW_ARGS_MAX else SLOW_ARGS_MAX
    cdef uint32_t index
    for index in range(count):
        args[index] = argv[index]
        args[index].block = NULL
        if index == SLOW_ARGS_MAX - 1 and argc > SLOW_ARGS_MAX:
            args[index].size = more_text(texts[index], b"... (", argc - SLOW_ARGS_MAX + 1, b" more arguments)")
            args[index].data = texts[index]
        elif argv[index].size > SLOW_ARG_BYTES_MAX:
            memcpy(texts[index], argv[index].data, SLOW_ARG_BYTES_MAX)
            args[index].size = SLOW_ARG_BYTES_MAX + more_text(
                texts[index] + SLOW_ARG_BYTES_MAX, b"... (", argv[index].size - SLOW_ARG_BYTES_MAX, b" more bytes)")
            args[index].data = texts[index]
    return deferred_new(NULL, args, count)


cdef void copy_text(char* place, const char* text) noexcept nogil:
    """At most 63 bytes of `text` and a NUL."""
    cdef size_t size = strlen(text) if text != NULL else 0
    if size > 63:
        size = 63
    if size:
        memcpy(place, text, size)
    place[size] = 0


cdef void service_slow_note(Service* service, const Session* session, const Bytes* argv, uint32_t argc, int64_t time_s,
                            uint64_t duration_us) noexcept nogil:
    cdef Deferred* command = shortened(argv, argc)
    cdef Deferred* old = NULL
    cdef SlowEntry* entry
    if command == NULL:
        return
    rwlock_write(&service.lock)
    if service.slow_capacity == 0:
        rwlock_write_done(&service.lock)
        deferred_free(command)
        return
    service.slow_newest = (service.slow_newest + 1) % service.slow_capacity
    entry = &service.slow_entries[service.slow_newest]
    if service.slow_count < service.slow_capacity:
        store_relaxed_u32(&service.slow_count, service.slow_count + 1)
    else:
        old = entry.command
    entry.id = service.slow_next_id
    service.slow_next_id += 1
    entry.time_s = time_s
    entry.duration_us = duration_us
    entry.command = command
    # The session is the caller's own: its texts do not change under it.
    copy_text(entry.address, session.address)
    copy_text(entry.name, session.name)
    rwlock_write_done(&service.lock)
    deferred_free(old)


cdef SlowEntry* service_slow_entry(Service* service, uint32_t age) noexcept nogil:
    """The entry that is `age` entries older than the newest. REQUIRES: the lock, age < slow_count."""
    return &service.slow_entries[(service.slow_newest + service.slow_capacity - age) % service.slow_capacity]


cdef bint service_slow_resize(Service* service, uint32_t capacity) noexcept nogil:
    cdef SlowEntry* made = NULL
    cdef SlowEntry* old
    cdef uint32_t kept, age
    if capacity:
        made = <SlowEntry*> calloc(capacity, sizeof(SlowEntry))
        if made == NULL:
            return False
    rwlock_write(&service.lock)
    kept = service.slow_count if service.slow_count < capacity else capacity
    for age in range(service.slow_count):
        if age < kept:
            made[kept - 1 - age] = service_slow_entry(service, age)[0]
        else:
            deferred_free(service_slow_entry(service, age).command)
    old = service.slow_entries
    service.slow_entries = made
    service.slow_capacity = capacity
    store_relaxed_u32(&service.slow_count, kept)
    service.slow_newest = kept - 1 if kept else (capacity - 1 if capacity else 0)
    rwlock_write_done(&service.lock)
    free(old)
    return True


cdef void service_slow_reset(Service* service) noexcept nogil:
    cdef uint32_t age
    rwlock_write(&service.lock)
    for age in range(service.slow_count):
        deferred_free(service_slow_entry(service, age).command)
    store_relaxed_u32(&service.slow_count, 0)
    rwlock_write_done(&service.lock)


# --- latency

cdef void service_latency_note(Service* service, LatencyEvent event, int64_t time_s,
                               uint32_t latency_ms) noexcept nogil:
    cdef LatencySeries* series
    cdef LatencySample* sample
    rwlock_write(&service.lock)
    if service.latency == NULL:
        service.latency = <LatencySeries*> calloc(LATENCY_EVENTS, sizeof(LatencySeries))
    if service.latency != NULL:
        series = &service.latency[<int> event]
        sample = &series.samples[series.newest]
        if series.count == 0 or sample.time_s != time_s:
            if series.count:
                series.newest = (series.newest + 1) % LATENCY_SAMPLES_MAX
            if series.count < LATENCY_SAMPLES_MAX:
                series.count += 1
            sample = &series.samples[series.newest]
            sample.time_s = time_s
            sample.latency_ms = 0
        if latency_ms > sample.latency_ms:
            sample.latency_ms = latency_ms
        if latency_ms > series.max_ms:
            series.max_ms = latency_ms
    rwlock_write_done(&service.lock)
