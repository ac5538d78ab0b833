# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What the options say about clients in general (see limits.pxd)."""
from kvcy.engine.platform cimport store_relaxed_u64

# A client that sends a deep pipeline before it reads any reply must not be stopped too early: both would wait forever.
OUTPUT_PAUSE_BYTES = 128 * 1024 * 1024
OUTPUT_STALL_S = 60.0
WAKE_COALESCING_US = 100


cdef class ClientLimits:
    """Limits on every client's buffers and idleness, shared by all that serve clients; may be changed at any time."""

    def __init__(self):
        self.set_output(0, 0, 0)
        self.set_pause(OUTPUT_PAUSE_BYTES, OUTPUT_STALL_S)
        self.set_query(1024 * 1024 * 1024)
        self.set_timeout(0)
        self.set_wake_coalescing(WAKE_COALESCING_US)

    def set_output(self, hard_bytes: int, soft_bytes: int, soft_seconds: float) -> None:
        """client-output-buffer-limit: more than hard_bytes waiting, or more than soft_bytes for so long, closes."""
        store_relaxed_u64(&self.limits.output_hard_bytes, hard_bytes)
        store_relaxed_u64(&self.limits.output_soft_bytes, soft_bytes)
        store_relaxed_u64(&self.limits.output_soft_ms, int(soft_seconds * 1000))

    def set_pause(self, pause_bytes: int, stall_seconds: float) -> None:
        """A client with more than pause_bytes waiting is not read; not reading for stall_seconds then closes it."""
        store_relaxed_u64(&self.limits.output_pause_bytes, pause_bytes)
        store_relaxed_u64(&self.limits.output_stall_ms, int(stall_seconds * 1000))

    def set_query(self, bytes_max: int) -> None:
        """client-query-buffer-limit: an unfinished command longer than this closes."""
        store_relaxed_u64(&self.limits.query_bytes_max, bytes_max)

    def set_timeout(self, seconds: int) -> None:
        """timeout: seconds of idleness that close; 0: none do."""
        store_relaxed_u64(&self.limits.timeout_ms, seconds * 1000)

    def set_wake_coalescing(self, rest_us: int) -> None:
        """wake-coalescing-us: how long a busy reactor rests before it waits for clients; 0: it never does."""
        store_relaxed_u64(&self.limits.wake_coalescing_us, rest_us)
