# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What all executors of one server share, and its Python face.

The lock is held for copies of bounded size only, never while Python objects are made: a reactor may be waiting for it.
Counts of executors are written by their own threads and read here as they are; an executor that goes leaves its counts
in the service's own. The password is compared byte by byte without a branch on the contents.
"""
from sys import byteorder

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from kvcy.commands.call cimport deferred_free, deferred_new
from kvcy.commands.clients cimport clients_init
from kvcy.commands.cycles cimport cycles
from kvcy.commands.errorcodes cimport error_counts_add
from kvcy.commands.histogram cimport (
    histogram_add, histogram_merge, histogram_ns, histogram_of, histograms_free)
from kvcy.commands.registry cimport row_at, row_count
from kvcy.commands.slowlog cimport service_slow_entry, service_slow_reset, service_slow_resize
from kvcy.commands.types cimport (
    CLOCK_SHIFT, HISTOGRAM_BUCKETS, LATENCY_EVENTS, LATENCY_SAMPLES_MAX, ErrorCounts, Executor, Histogram,
    LatencySeries, RowStats, Service, SlowEntry,
)
from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.platform cimport (
    add_relaxed_u64, load_relaxed_i64, load_relaxed_u32, load_relaxed_u64, store_relaxed_i64, store_relaxed_u32,
    store_relaxed_u64, store_release_u32,
)
from kvcy.engine.rwlock cimport rwlock_write, rwlock_write_done

LATENCY_NAMES = ("command", "fast-command", "expire-cycle", "eviction-cycle", "fork")

cdef enum:
    BULK_BYTES_MAX_DEFAULT = 536870912
    SLOW_US_DEFAULT = 10000
    SLOW_ENTRIES_DEFAULT = 128
    CALIBRATION_NS = 200000


cdef uint64_t measure_tick() noexcept nogil:
    """How long a tick of the cycle counter is, in nanoseconds << CLOCK_SHIFT: spins for a fifth of a millisecond."""
    cdef uint64_t start_ns = monotonic_ns()
    cdef uint64_t start = cycles()
    cdef uint64_t now_ns = start_ns
    cdef uint64_t ticks
    while now_ns - start_ns < CALIBRATION_NS:
        now_ns = monotonic_ns()
    ticks = cycles() - start
    return ((now_ns - start_ns) << CLOCK_SHIFT) // ticks if ticks else 1 << CLOCK_SHIFT


cdef Service* service_new() noexcept nogil:
    cdef Service* service = <Service*> calloc(1, sizeof(Service))
    if service == NULL:
        return NULL
    clients_init(&service.clients)
    service.bulk_bytes_max = BULK_BYTES_MAX_DEFAULT
    service.slow_us = SLOW_US_DEFAULT
    service.latency_tracking = True
    service.tick_ns = measure_tick()
    service.stats = <RowStats*> calloc(row_count() + 1, sizeof(RowStats))
    if service.stats == NULL or not service_slow_resize(service, SLOW_ENTRIES_DEFAULT):
        service_free(service)
        return NULL
    return service


cdef void service_free(Service* service) noexcept nogil:
    service_slow_reset(service)
    free(service.slow_entries)
    free(service.latency)
    free(service.password)
    histograms_free(service.stats, row_count())
    free(service.stats)
    free(service)


# --- the password

cdef bint service_set_password(Service* service, const char* password, size_t size) noexcept nogil:
    cdef char* made = NULL
    cdef char* old
    if size:
        made = <char*> malloc(size)
        if made == NULL:
            return False
        memcpy(made, password, size)
    rwlock_write(&service.lock)
    old = service.password
    service.password = made
    service.password_size = size
    store_relaxed_u32(&service.password_required, size != 0)
    rwlock_write_done(&service.lock)
    free(old)
    return True


cdef bint service_password_matches(Service* service, const char* password, size_t size) noexcept nogil:
    cdef unsigned char difference
    cdef size_t at
    rwlock_write(&service.lock)
    difference = size != service.password_size
    for at in range(size):
        # A wrong length is compared too, with itself, so that the time says nothing but the length given.
        difference |= <unsigned char> (
            password[at] ^ (service.password[at] if at < service.password_size else password[at]))
    if service.password == NULL:
        difference = 0
    rwlock_write_done(&service.lock)
    return difference == 0


# --- executors and their counts

cdef void service_add_executor(Service* service, Executor* executor) noexcept nogil:
    rwlock_write(&service.lock)
    executor.next = service.executors
    service.executors = executor
    rwlock_write_done(&service.lock)


cdef void add_stats(RowStats* total, const RowStats* more) noexcept nogil:
    total.calls += load_relaxed_u64(&more.calls)
    total.timed += load_relaxed_u64(&more.timed)
    total.nanoseconds += load_relaxed_u64(&more.nanoseconds)
    total.rejected += load_relaxed_u64(&more.rejected)
    total.failed += load_relaxed_u64(&more.failed)


cdef void service_remove_executor(Service* service, Executor* executor) noexcept nogil:
    cdef Executor** place = &service.executors
    cdef uint32_t number
    rwlock_write(&service.lock)
    while place[0] != NULL and place[0] != executor:
        place = &place[0].next
    if place[0] != NULL:
        place[0] = executor.next
    for number in range(row_count()):
        add_stats(&service.stats[number], &executor.stats[number])
        histogram_merge(&service.stats[number], &executor.stats[number], False)
    service.commands += executor.commands
    service.errors += executor.errors
    error_counts_add(&service.error_counts, &executor.error_counts, False)
    rwlock_write_done(&service.lock)


cdef void service_row_stats(Service* service, uint32_t number, RowStats* total) noexcept nogil:
    cdef Executor* executor
    rwlock_write(&service.lock)
    total[0] = service.stats[number]
    executor = service.executors
    while executor != NULL:
        add_stats(total, &executor.stats[number])
        executor = executor.next
    rwlock_write_done(&service.lock)


cdef void service_row_histogram(Service* service, uint32_t number, Histogram* total) noexcept nogil:
    cdef Executor* executor
    memset(total, 0, sizeof(Histogram))
    rwlock_write(&service.lock)
    histogram_add(total, histogram_of(&service.stats[number]), False)
    executor = service.executors
    while executor != NULL:
        histogram_add(total, histogram_of(&executor.stats[number]), False)
        executor = executor.next
    rwlock_write_done(&service.lock)


cdef void service_totals(Service* service, uint64_t* commands, uint64_t* errors) noexcept nogil:
    cdef Executor* executor
    rwlock_write(&service.lock)
    commands[0] = service.commands
    errors[0] = service.errors
    executor = service.executors
    while executor != NULL:
        commands[0] += load_relaxed_u64(&executor.commands)
        errors[0] += load_relaxed_u64(&executor.errors)
        executor = executor.next
    rwlock_write_done(&service.lock)


cdef void service_reset_stats(Service* service) noexcept nogil:
    """Makes all sums 0 without touching what executors own: the service's own counts become minus the executors'."""
    cdef Executor* executor
    cdef RowStats* own
    cdef uint32_t number
    rwlock_write(&service.lock)
    histograms_free(service.stats, row_count())
    memset(service.stats, 0, row_count() * sizeof(RowStats))
    service.commands = 0
    service.errors = 0
    service.error_counts.used = 0
    executor = service.executors
    while executor != NULL:
        for number in range(row_count()):
            own = &service.stats[number]
            own.calls -= load_relaxed_u64(&executor.stats[number].calls)
            own.timed -= load_relaxed_u64(&executor.stats[number].timed)
            own.nanoseconds -= load_relaxed_u64(&executor.stats[number].nanoseconds)
            own.rejected -= load_relaxed_u64(&executor.stats[number].rejected)
            own.failed -= load_relaxed_u64(&executor.stats[number].failed)
            histogram_merge(own, &executor.stats[number], True)
        service.commands -= load_relaxed_u64(&executor.commands)
        service.errors -= load_relaxed_u64(&executor.errors)
        error_counts_add(&service.error_counts, &executor.error_counts, True)
        executor = executor.next
    store_relaxed_u64(&service.auth_failures, 0)
    store_relaxed_u64(&service.rejected_connections, 0)
    rwlock_write_done(&service.lock)


# --- the Python face

cdef ServiceHandle service_handle(Service* service, object owner):
    cdef ServiceHandle handle = ServiceHandle.__new__(ServiceHandle)
    handle.service = service
    handle.owner = owner
    return handle


cdef class ServiceHandle:
    """Settings, statistics, slow log and latency samples of a server. Made by service_handle()."""

    @property
    def password_required(self) -> bool:
        return load_relaxed_u32(&self.service.password_required) != 0

    def set_password(self, password: bytes) -> None:
        """b"" means that none is required."""
        if not service_set_password(self.service, password, len(password)):
            raise MemoryError

    @property
    def loading(self) -> bool:
        """Whether the data are being loaded, by a thread that takes no locks: set before executors are made."""
        return load_relaxed_u32(&self.service.loading) != 0

    @loading.setter
    def loading(self, value: bool) -> None:
        store_release_u32(&self.service.loading, value)

    @property
    def writes_stopped(self) -> bool:
        """Whether commands that may change something are refused, since the last snapshot failed."""
        return load_relaxed_u32(&self.service.writes_stopped) != 0

    @writes_stopped.setter
    def writes_stopped(self, value: bool) -> None:
        store_relaxed_u32(&self.service.writes_stopped, value)

    @property
    def bulk_bytes_max(self) -> int:
        return load_relaxed_u64(&self.service.bulk_bytes_max)

    @bulk_bytes_max.setter
    def bulk_bytes_max(self, value: int) -> None:
        store_relaxed_u64(&self.service.bulk_bytes_max, value)

    @property
    def slow_us(self) -> int:
        return load_relaxed_i64(&self.service.slow_us)

    @slow_us.setter
    def slow_us(self, value: int) -> None:
        store_relaxed_i64(&self.service.slow_us, value)

    @property
    def slow_capacity(self) -> int:
        return self.service.slow_capacity

    @slow_capacity.setter
    def slow_capacity(self, value: int) -> None:
        if not service_slow_resize(self.service, value):
            raise MemoryError

    @property
    def latency_threshold_ms(self) -> int:
        return load_relaxed_u64(&self.service.latency_threshold_ms)

    @latency_threshold_ms.setter
    def latency_threshold_ms(self, value: int) -> None:
        store_relaxed_u64(&self.service.latency_threshold_ms, value)

    @property
    def latency_tracking(self) -> bool:
        return load_relaxed_u32(&self.service.latency_tracking) != 0

    @latency_tracking.setter
    def latency_tracking(self, value: bool) -> None:
        store_relaxed_u32(&self.service.latency_tracking, value)

    @property
    def clients(self) -> int:
        return self.service.clients.count

    @property
    def connections_total(self) -> int:
        return self.service.clients.total_connections

    @property
    def rejected_connections(self) -> int:
        return load_relaxed_u64(&self.service.rejected_connections)

    def count_rejected_connection(self) -> None:
        add_relaxed_u64(&self.service.rejected_connections, 1)

    @property
    def auth_failures(self) -> int:
        return load_relaxed_u64(&self.service.auth_failures)

    def totals(self) -> tuple[int, int]:
        """Commands processed and error replies."""
        cdef uint64_t commands, errors
        with nogil:
            service_totals(self.service, &commands, &errors)
        return commands, errors

    def error_stats(self) -> dict[str, int]:
        """Error replies by code, such as ERR."""
        cdef ErrorCounts total
        cdef Executor* executor
        with nogil:
            rwlock_write(&self.service.lock)
            total = self.service.error_counts
            executor = self.service.executors
            while executor != NULL:
                error_counts_add(&total, &executor.error_counts, False)
                executor = executor.next
            rwlock_write_done(&self.service.lock)
        found = {}
        for one in total.codes[:total.used]:
            code = int(one.low).to_bytes(8, byteorder) + int(one.high).to_bytes(8, byteorder)
            if one.count:
                found[code.rstrip(b"\0").decode("ascii", "replace")] = one.count
        return found

    def command_stats(self) -> dict[str, tuple[int, int, int, int]]:
        """Of each command that was called or rejected: calls, microseconds, rejected calls, failed calls."""
        cdef RowStats total
        cdef uint32_t number
        cdef dict found = {}
        for number in range(row_count()):
            with nogil:
                service_row_stats(self.service, number, &total)
            if total.calls or total.rejected:
                spent = total.nanoseconds * total.calls // total.timed // 1000 if total.timed else 0
                found[row_at(number).name.decode()] = (total.calls, spent, total.rejected, total.failed)
        return found

    def histograms(self) -> dict[str, list[tuple[int, int]]]:
        """Of each command that was timed, while that is noted: (the largest ns of a bucket, calls in it), rising."""
        cdef Histogram total
        cdef uint32_t number, bucket
        cdef dict found = {}
        for number in range(row_count()):
            with nogil:
                service_row_histogram(self.service, number, &total)
            buckets = [(histogram_ns(bucket), total.counts[bucket])
                       for bucket in range(<uint32_t> HISTOGRAM_BUCKETS) if total.counts[bucket]]
            if buckets:
                found[row_at(number).name.decode()] = buckets
        return found

    def reset_stats(self) -> None:
        with nogil:
            service_reset_stats(self.service)

    def slow_count(self) -> int:
        return load_relaxed_u32(&self.service.slow_count)

    def slow_log(self, count: int = -1) -> list:
        """The newest `count` (negative: all) as (id, time_s, duration_us, [arguments], address, name)."""
        cdef SlowEntry entry
        cdef uint32_t age = 0
        cdef bint more = True
        cdef list found = []
        while count < 0 or age < count:
            with nogil:
                rwlock_write(&self.service.lock)
                more = age < self.service.slow_count
                if more:
                    entry = service_slow_entry(self.service, age)[0]
                    entry.command = deferred_new(NULL, entry.command.argv, entry.command.argc)
                rwlock_write_done(&self.service.lock)
            if not more or entry.command == NULL:
                break
            args = [entry.command.argv[index].data[:entry.command.argv[index].size]
                    for index in range(entry.command.argc)]
            deferred_free(entry.command)
            found.append((entry.id, entry.time_s, entry.duration_us, args, <bytes> entry.address, <bytes> entry.name))
            age += 1
        return found

    def slow_reset(self) -> None:
        with nogil:
            service_slow_reset(self.service)

    def latency(self) -> dict[str, tuple[int, list[tuple[int, int]]]]:
        """Of each event that happened: the worst in ms, and (time_s, latency_ms) of its samples, oldest first."""
        cdef LatencySeries series
        cdef uint32_t age
        cdef int event
        cdef dict found = {}
        for event in range(<int> LATENCY_EVENTS):
            with nogil:
                rwlock_write(&self.service.lock)
                series.count = 0
                if self.service.latency != NULL:
                    series = self.service.latency[event]
                rwlock_write_done(&self.service.lock)
            if series.count:
                samples = []
                for age in range(series.count):
                    at = (series.newest + LATENCY_SAMPLES_MAX + 1 + age - series.count) % LATENCY_SAMPLES_MAX
                    samples.append((series.samples[at].time_s, series.samples[at].latency_ms))
                found[LATENCY_NAMES[event]] = (series.max_ms, samples)
        return found

    def latency_reset(self, names: tuple = LATENCY_NAMES) -> int:
        """Forgets these events; returns how many there were."""
        cdef int event
        cdef int count = 0
        for name in names:
            if name not in LATENCY_NAMES:
                continue
            event = LATENCY_NAMES.index(name)
            with nogil:
                rwlock_write(&self.service.lock)
                if self.service.latency != NULL and self.service.latency[event].count:
                    memset(&self.service.latency[event], 0, sizeof(LatencySeries))
                    count += 1
                rwlock_write_done(&self.service.lock)
        return count
