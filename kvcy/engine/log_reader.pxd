# cython: language_level=3
"""Reading the log: record by record from a position, and a judgement of the place where the records end.

    reader = reader_open(...)
    while reader_next(reader) == LOG_RECORD:
        ... reader.record ...
    ... reader.verdict ...
    reader_close(reader)

Nothing is changed on disk. The rule of the judgement is in docs/durability.md, under Start.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum LogFound:
    LOG_RECORD = 0
    LOG_END                     # the log ends here, and nothing lies behind
    LOG_TORN                    # it ends here, and behind lies what was being written when it ended
    LOG_DAMAGED                 # something is missing or wrong that had been durable
    LOG_FAILED                  # reading failed: `error` has the errno

cdef struct LogRecord:
    uint64_t position
    uint64_t end
    uint64_t durable
    int64_t time_ms
    const char* operations      # until the next call on the reader
    size_t size

cdef struct LogVerdict:
    LogFound found              # LOG_RECORD: none yet
    int error
    uint64_t position           # of the place: the end of the last record
    uint64_t segment            # its segment's number
    uint64_t offset             # in the segment's file
    const char* reason          # a few words, static; never NULL once there is a verdict

cdef enum:
    LOG_HOLES = 4                   # segments whose hole is known: the last ones, the others being full

cdef struct LogReader:
    LogRecord record            # the last one read
    LogVerdict verdict
    uint64_t durable            # known to be on disk by what was read: for LogOptions.durable
    uint64_t position           # of the next record
    uint64_t limit              # the end of the last segment that follows without a gap
    uint64_t holes[LOG_HOLES]   # of the last segment, the one before it, ...: the place behind which all is zero
    bint gap                    # behind which there are others
    bint shortened              # a file was shorter than a segment: zeros were read in its place
    const char* header_reason   # what is wrong with a segment's header, if anything
    bint header_unknown         # nothing but that it is of another version
    int directory               # borrowed
    int file                    # the one being read, or -1
    int error
    uint32_t seed
    uint64_t file_number
    uint64_t segment_bytes
    unsigned char history[16]
    char* buffer                # log bytes [base, base + filled), segments joined
    size_t capacity
    size_t filled
    uint64_t base

# A reader that will begin at `position`, which is the beginning of a record or the end of the log. NULL: `error` has
# the errno. `directory` stays the caller's and must stay open.
cdef LogReader* reader_open(
    int directory, const unsigned char* history, uint64_t segment_bytes, uint64_t position, int* error) noexcept nogil
cdef LogFound reader_next(LogReader* reader) noexcept nogil
# Behind which there is nothing but zeros, as far as that was told without reading: the records end before it.
cdef uint64_t reader_data_end(const LogReader* reader) noexcept nogil
cdef void reader_close(LogReader* reader) noexcept nogil
