# cython: language_level=3
"""What all executors of one server share: clients, password, limits, slow log, latency samples, counters.

Texts, ring and list of executors lie under service.lock, a leaf spin lock; limits and thresholds are single words,
written and read atomically. An embedded store has a Service of its own, without password or clients.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.slowlog cimport (
    service_latency_note, service_slow_note, service_slow_reset, service_slow_resize,
)
from kvcy.commands.types cimport (
    LATENCY_COMMAND, LATENCY_EVENTS, LATENCY_EVICTION_CYCLE, LATENCY_EXPIRE_CYCLE, LATENCY_FAST_COMMAND, LATENCY_FORK,
    Clients, Executor, LatencyEvent, LatencySample, LatencySeries, RowStats, Service, Session, SlowEntry,
)
from kvcy.engine.block cimport Bytes

cdef Service* service_new() noexcept nogil                     # NULL: no memory
cdef void service_free(Service* service) noexcept nogil        # REQUIRES: no executor and no session left

# size 0: no password is required any more (sessions that are authenticated stay so). False: no memory.
cdef bint service_set_password(Service* service, const char* password, size_t size) noexcept nogil
# Compares in a time that depends only on the lengths. True for anything when no password is required.
cdef bint service_password_matches(Service* service, const char* password, size_t size) noexcept nogil

cdef void service_add_executor(Service* service, Executor* executor) noexcept nogil
cdef void service_remove_executor(Service* service, Executor* executor) noexcept nogil     # keeps its counts
# Sums over all executors. `number` is Row.number.
cdef void service_row_stats(Service* service, uint32_t number, RowStats* total) noexcept nogil
cdef void service_totals(Service* service, uint64_t* commands, uint64_t* errors) noexcept nogil
cdef void service_reset_stats(Service* service) noexcept nogil     # CONFIG RESETSTAT

cdef class ServiceHandle:
    """The Python face: settings, statistics, slow log and latency of a Service, for INFO, CONFIG, SLOWLOG, LATENCY."""
    cdef Service* service
    cdef object owner                      # keeps alive what owns the service, or None when this does

# A handle for a service that somebody else frees; `owner` is kept alive.
cdef ServiceHandle service_handle(Service* service, object owner)
