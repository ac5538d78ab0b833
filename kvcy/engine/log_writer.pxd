# cython: language_level=3
"""The write-ahead log, the part on disk: the flusher, and closing the log. See log.pxd, and log_opening.pxd.

Two threads serve a log: one in log_flush_run, and, so that making a segment stalls nobody, one in log_prepare_run
(without it, the flusher makes segments). Both end soon after log_stop.
"""
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.log cimport Log, LogPiece


cdef extern from *:
    """
    #define KVCY_LOG_SLEEP_MAX_NS    500000000u     /* however little there is to do, the flusher looks */
    #define KVCY_LOG_SYNC_NS         500000000u     /* everysec: from one sync to the next */
    #define KVCY_LOG_PACE_NS          10000000u     /* everysec, no: from one write to the next */
    #define KVCY_LOG_RETRY_NS        100000000u     /* a full disk */
    """
    const uint64_t LOG_SLEEP_MAX_NS "KVCY_LOG_SLEEP_MAX_NS"
    const uint64_t LOG_SYNC_NS "KVCY_LOG_SYNC_NS"
    const uint64_t LOG_PACE_NS "KVCY_LOG_PACE_NS"
    const uint64_t LOG_RETRY_NS "KVCY_LOG_RETRY_NS"

# One turn of the flusher: writes and syncs what there is, by the policy. In how many ns there is something to do again
# if nobody appends. REQUIRES: one thread at a time.
cdef uint64_t log_flush_step(Log* log) noexcept nogil
cdef void log_flush_run(Log* log) noexcept nogil        # returns after log_stop, all being durable that can be
cdef void log_prepare_run(Log* log) noexcept nogil
cdef void log_stop(Log* log) noexcept nogil             # nothing may be appended after this
# Makes durable what is not, and frees the log: 0, or a negative errno where that failed. `conclusion`, or NULL: an
# operation that changes nothing. It becomes the last record, which calls all before it durable, so that damage there is
# not taken for a torn tail; unless that has been called so already. That this record was written is not promised.
# REQUIRES: nobody else uses it any more; both threads have ended, or never were.
cdef int log_close(Log* log, const LogPiece* conclusion, int64_t time_ms) noexcept nogil
