# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What the commands answered in Python see of the engine and the executors (context.Native), and may set there.

Reads counters without stopping anybody; each is one word, and they need not fit together to the last unit. Locks are
waited for without the GIL (THE RULE OF ENGINE LOCKS, engine/rwlock.pxd). Who loads the data takes no locks, so that
nothing is read here meanwhile that they would protect.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from kvcy._core cimport Store
from kvcy.commands.clients cimport clients_evict, clients_lock, clients_unlock
from kvcy.commands.objects cimport encoding_name
from kvcy.commands.service cimport ServiceHandle, service_handle
from kvcy.commands.types cimport Clients, Session
from kvcy.engine.entry cimport Entry, entry_value
from kvcy.engine.events cimport EVENTS_COUNT, events_configure
from kvcy.engine.eviction cimport eviction_adopt, eviction_configure
from kvcy.engine.expiry cimport expire_lag_ms_max
from kvcy.engine.keyspace cimport Access, keyspace_idle_s, keyspace_peek
from kvcy.engine.ranging cimport IndexTotals, index_totals
from kvcy.engine.shards cimport (
    DATABASES_MAX, Key, Keyspace, keyspace_key, keyspace_memory_bytes, keyspace_used_bytes, shard_lock,
    shard_unlock)
from kvcy.engine.whole cimport keyspace_count, keyspace_count_volatile, keyspace_dirty
from kvcy.engine.platform cimport (
    load_acquire_u32, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, store_relaxed_u64)
from kvcy.engine.events import EVENTS
from kvcy.server.context import LatencySamples, RowUse, SlowCommand

cdef struct ClientSums:
    uint64_t count
    uint64_t connections
    uint64_t input_max
    uint64_t output_max


cdef int64_t now_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <int64_t> now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef ClientSums sum_clients(Clients* clients) noexcept nogil:
    """Counts of all clients there are. Other threads' numbers are read as they are."""
    cdef ClientSums sums
    cdef const Session* session
    sums.input_max = 0
    sums.output_max = 0
    clients_lock(clients)
    sums.count = clients.count
    sums.connections = clients.total_connections
    session = clients.first
    while session != NULL:
        sums.input_max = max(sums.input_max, load_relaxed_u64(&session.input_bytes))
        sums.output_max = max(sums.output_max, load_relaxed_u64(&session.output_bytes))
        session = session.next
    clients_unlock(clients)
    return sums


cdef class Native:
    """A server's native side. `service` is the handle that all that serve its clients share."""
    cdef Store store
    cdef readonly ServiceHandle service

    def __cinit__(self, Store store not None):
        self.store = store
        self.service = service_handle(store.service, store)

    def totals(self) -> dict[str, int]:
        cdef Keyspace* keyspace = self.store.keyspace
        cdef ClientSums sums
        cdef uint64_t used_bytes = keyspace_used_bytes(keyspace)
        cdef uint64_t taken_bytes = used_bytes
        cdef bint loading = load_acquire_u32(&self.service.service.loading) != 0
        cdef uint64_t client_bytes = load_relaxed_u64(&keyspace.client_bytes)
        with nogil:
            sums = sum_clients(&self.service.service.clients)
            if not loading:
                taken_bytes = keyspace_memory_bytes(keyspace)
        commands, errors = self.service.totals()
        return {
            "clients": sums.count,
            "clients_bytes": client_bytes,
            "evicted_clients": load_relaxed_u64(&self.service.service.clients.evicted),
            "connections": sums.connections,
            "rejected_connections": self.service.rejected_connections,
            "commands": commands,
            "errors": errors,
            "auth_failures": self.service.auth_failures,
            "input_bytes_max": sums.input_max,
            "output_bytes_max": sums.output_max,
            "memory_bytes": used_bytes + client_bytes,
            "taken_bytes": taken_bytes + client_bytes,
            "changes": keyspace_dirty(keyspace),
            "evicted_keys": load_relaxed_u64(&keyspace.evicted_keys),
            "expired_keys": load_relaxed_u64(&keyspace.expired_keys),
            "expire_lag_ms_max": expire_lag_ms_max(keyspace, now_ms()),
            "expire_lag_ms_last": load_relaxed_u64(&keyspace.expire_lag.last_ms),
            "expire_cycle_ms": load_relaxed_u64(&keyspace.expire_ns) // 1000000,
            "hits": load_relaxed_u64(&keyspace.keyspace_hits),
            "misses": load_relaxed_u64(&keyspace.keyspace_misses),
        }

    def databases(self) -> list[tuple[int, int]]:
        cdef Keyspace* keyspace = self.store.keyspace
        cdef int database
        return [
            (keyspace_count(keyspace, database), keyspace_count_volatile(keyspace, database))
            for database in range(DATABASES_MAX)
        ]

    def uses(self) -> list[RowUse]:
        return [
            RowUse(name, calls, float(usec), rejected, failed)
            for name, (calls, usec, rejected, failed) in self.service.command_stats().items()
        ]

    def errors(self) -> dict[str, int]:
        return self.service.error_stats()

    def histograms(self) -> dict[str, list[tuple[int, int]]]:
        return self.service.histograms()

    def reset_statistics(self) -> None:
        cdef Keyspace* keyspace = self.store.keyspace
        cdef int place
        self.service.reset_stats()
        store_relaxed_u64(&keyspace.evicted_keys, 0)
        store_relaxed_u64(&self.service.service.clients.evicted, 0)
        for place in range(<int> EVENTS_COUNT):
            store_relaxed_u64(&keyspace.events.counts[place], 0)
        store_relaxed_u64(&keyspace.expired_keys, 0)
        store_relaxed_u64(&keyspace.keyspace_hits, 0)
        store_relaxed_u64(&keyspace.keyspace_misses, 0)

    def slow_commands(self, count: int) -> list[SlowCommand]:
        return [SlowCommand(*entry) for entry in self.service.slow_log(count)]

    def slow_count(self) -> int:
        return self.service.slow_count()

    def slow_reset(self) -> None:
        self.service.slow_reset()

    def latencies(self) -> list[LatencySamples]:
        return [
            LatencySamples(event, samples, max_ms) for event, (max_ms, samples) in self.service.latency().items()
        ]

    def latency_reset(self, events: list[str]) -> int:
        return self.service.latency_reset(tuple(events)) if events else self.service.latency_reset()

    def entry_text(self, database: int, key: bytes) -> str | None:
        cdef Access access
        cdef Key found
        cdef const Entry* entry = NULL
        cdef const char* encoding = NULL
        cdef const char* data = key
        cdef size_t size = len(key)
        cdef size_t value_size = 0
        cdef int64_t idle_s = 0
        access.keyspace = self.store.keyspace
        access.database = database
        access.exclusive = False
        access.no_touch = True
        access.expired_seen = 0
        access.hits = 0
        access.misses = 0
        with nogil:
            access.now_ms = now_ms()
            found = keyspace_key(access.keyspace, data, size)
            shard_lock(access.keyspace, found.shard, False)
            entry = keyspace_peek(&access, &found)
            if entry != NULL:
                encoding = encoding_name(entry)
                value_size = entry_value(entry).size
                idle_s = keyspace_idle_s(&access, entry)
            shard_unlock(access.keyspace, found.shard, False)
        if encoding == NULL:
            return None
        return (
            f"Value at:0x0 refcount:1 encoding:{encoding.decode()} serializedlength:{value_size}"
            f" lru:0 lru_seconds_idle:{idle_s}"
        )

    def ordered_indexes(self) -> dict[int, tuple[int, int, bool]]:
        """Of each database that has an ordered index: keys in it, bytes, and whether it is complete."""
        cdef IndexTotals totals
        cdef int database
        found = {}
        if load_acquire_u32(&self.service.service.loading):
            return found
        for database in range(DATABASES_MAX):
            with nogil:
                index_totals(self.store.keyspace, database, &totals)
            if totals.there:
                found[database] = (totals.keys, totals.bytes, bool(totals.complete))
        return found

    def events(self) -> dict[str, int]:
        """How often each keyspace event was raised."""
        counts = [load_relaxed_u64(&self.store.keyspace.events.counts[place]) for place in range(len(EVENTS))]
        return {name: count for (name, _), count in zip(EVENTS, counts) if count}

    def set_events(self, classes: int) -> None:
        """notify-keyspace-events: the classes that are asked for, a bit for each of events.LETTERS."""
        events_configure(&self.store.keyspace.events, classes)

    def set_clients_memory_max(self, size_bytes: int) -> None:
        """maxmemory-clients in bytes, 0 is no limit. Closes clients if it is passed already."""
        store_relaxed_u64(&self.service.service.clients.memory_bytes_max, size_bytes)
        with nogil:
            clients_evict(&self.service.service.clients)

    def set_ordered_always(self, always: bool) -> None:
        """ordered-index: whether keys are indexed in order before anybody asks for it."""
        store_relaxed_u32(&self.store.keyspace.ordered_always, always)

    def set_memory_max(self, size_bytes: int, policy: int = 0, tenacity: int = 10, lfu_log_factor: int = 10,
                       lfu_decay_minutes: int = 1) -> None:
        """maxmemory, 0 is no limit, and what is done about it; `policy` is a place in eviction.POLICIES."""
        cdef Keyspace* keyspace = self.store.keyspace
        cdef uint32_t before = load_relaxed_u32(&keyspace.eviction.policy)
        cdef uint32_t number = policy
        cdef uint32_t steps = tenacity
        cdef uint32_t factor = lfu_log_factor
        cdef uint32_t minutes = lfu_decay_minutes
        cdef bint done
        with nogil:
            done = eviction_configure(keyspace, number, steps, factor, minutes)
        if not done:
            raise MemoryError
        store_relaxed_u64(&keyspace.memory_bytes_max, size_bytes)
        if number != before and not load_acquire_u32(&self.service.service.loading):
            with nogil:
                eviction_adopt(keyspace, now_ms())
