# cython: language_level=3
"""The log's bytes, as docs/durability.md gives them: headers, sizes, and where a position lies."""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    SEGMENT_VERSION = 1
    SEGMENT_HEADER_BYTES = 4096
    RECORD_HEADER_BYTES = 32
    SEGMENT_NAME_BYTES = 32         # room for a name, its `.new` and the zero

cdef extern from *:
    """
    #define KVCY_RECORD_SIZE_MAX 0xFFFFFF00u
    """
    const uint32_t RECORD_SIZE_MAX "KVCY_RECORD_SIZE_MAX"       # of a record's operations

cdef struct SegmentHeader:          # 64 bytes
    char magic[8]
    uint32_t version
    uint32_t crc                    # of what follows
    uint64_t number
    uint64_t segment_bytes
    unsigned char history[16]
    unsigned char zeros[16]

cdef struct RecordHeader:           # 32 bytes
    uint32_t crc                    # of the history, the operations and what follows here, in this order
    uint32_t size
    uint64_t position
    uint64_t durable
    uint64_t time_ms


cdef inline uint64_t record_space(uint64_t size) noexcept nogil:
    """The bytes of the log that a record with `size` bytes of operations takes."""
    return RECORD_HEADER_BYTES + ((size + 7) & ~<uint64_t> 7)


cdef inline uint64_t place_in_file(uint64_t position, uint64_t segment_bytes) noexcept nogil:
    return SEGMENT_HEADER_BYTES + position % segment_bytes
