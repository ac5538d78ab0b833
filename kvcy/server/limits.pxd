# cython: language_level=3
"""What the options say about clients in general, as the loops that serve them read it."""
from libc.stdint cimport uint64_t

cdef struct Limits:                      # changed by CONFIG SET from the trio thread; each word read relaxed
    uint64_t output_hard_bytes           # client-output-buffer-limit normal; 0: none
    uint64_t output_soft_bytes
    uint64_t output_soft_ms
    uint64_t output_pause_bytes          # more than this waiting to be sent: the client is not read
    uint64_t output_stall_ms             # not read, and having taken nothing for so long: closed
    uint64_t query_bytes_max             # client-query-buffer-limit
    uint64_t timeout_ms                  # idle clients; 0: never
    uint64_t wake_coalescing_us          # how long a busy reactor rests; 0: never

cdef class ClientLimits:
    cdef Limits limits
