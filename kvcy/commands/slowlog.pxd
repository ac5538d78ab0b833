# cython: language_level=3
"""The slow log and the latency samples of a Service."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.types cimport LatencyEvent, Service, Session, SlowEntry
from kvcy.engine.block cimport Bytes

# Notes a slow command (the caller has compared with slow_us).
cdef void service_slow_note(Service* service, const Session* session, const Bytes* argv, uint32_t argc, int64_t time_s,
                            uint64_t duration_us) noexcept nogil
cdef bint service_slow_resize(Service* service, uint32_t capacity) noexcept nogil          # slowlog-max-len
cdef void service_slow_reset(Service* service) noexcept nogil
cdef void service_latency_note(Service* service, LatencyEvent event, int64_t time_s,
                               uint32_t latency_ms) noexcept nogil
# The entry that is `age` entries older than the newest. REQUIRES: service.lock, age < slow_count.
cdef SlowEntry* service_slow_entry(Service* service, uint32_t age) noexcept nogil
