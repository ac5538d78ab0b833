# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What is counted of a command that ran: its time, its failure, its slowness.

Commands with one key are so short that reading a clock for each would be felt. One call in 16 of such a row (SAMPLED)
is timed, and the first, with the cycle counter; all others always are, Python's from parking to answer. The slow log
therefore sees every slow command of the second kind and a sixteenth of the first, unless its threshold is below
a millisecond: then everything is timed (executor.pyx decides). What is timed is noted in the row's histogram.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.cycles cimport cycles
from kvcy.commands.errorcodes cimport error_count
from kvcy.commands.histogram cimport histogram_note
from kvcy.commands.service cimport service_latency_note, service_slow_note
from kvcy.commands.types cimport (
    CLOCK_SHIFT, FAST, LATENCY_COMMAND, LATENCY_FAST_COMMAND, SECRET, SKIP_SLOWLOG, Call, RowStats, Service,
)
from kvcy.engine.block cimport Bytes
from kvcy.engine.platform cimport add_own_u64, load_relaxed_i64, load_relaxed_u32, load_relaxed_u64, unlikely


cdef void note_slow(Call* call, uint64_t spent_ns) noexcept nogil:
    """Puts the command into the slow log; of one whose arguments are secret, only the name."""
    cdef Service* service = call.executor.service
    cdef int64_t time_s = call.access.now_ms // 1000
    cdef Bytes shown[2]
    if call.row.flags & SECRET == 0:
        service_slow_note(service, call.session, call.argv, call.argc, time_s, spent_ns // 1000)
        return
    shown[0] = call.argv[0]
    shown[1].data = b"(redacted)"
    shown[1].size = 10
    shown[1].block = NULL
    service_slow_note(service, call.session, shown, 2 if call.argc > 1 else 1, time_s, spent_ns // 1000)


cdef void account_time(Call* call, uint64_t start) noexcept nogil:
    """Adds the time since `start` to the row's, and notes a slow command."""
    cdef Service* service = call.executor.service
    cdef RowStats* stats = &call.executor.stats[call.row.number]
    cdef uint64_t spent_ns = ((cycles() - start) * service.tick_ns) >> CLOCK_SHIFT
    cdef uint64_t threshold_ms = load_relaxed_u64(&service.latency_threshold_ms)
    cdef int64_t slow_us = load_relaxed_i64(&service.slow_us)
    add_own_u64(&stats.timed, 1)
    add_own_u64(&stats.nanoseconds, spent_ns)
    if load_relaxed_u32(&service.latency_tracking):
        histogram_note(stats, spent_ns)
    if unlikely(slow_us >= 0 and spent_ns >= <uint64_t> slow_us * 1000) and call.row.flags & SKIP_SLOWLOG == 0:
        note_slow(call, spent_ns)
    if unlikely(threshold_ms != 0 and spent_ns >= threshold_ms * 1000000):
        service_latency_note(service, LATENCY_FAST_COMMAND if call.row.flags & FAST else LATENCY_COMMAND,
                             call.access.now_ms // 1000, <uint32_t> (spent_ns // 1000000))


cdef void account_error(Call* call, const char* reply, size_t size) noexcept nogil:
    add_own_u64(&call.executor.stats[call.row.number].failed, 1)
    add_own_u64(&call.executor.errors, 1)
    error_count(&call.executor.error_counts, reply + 1, size - 1)
