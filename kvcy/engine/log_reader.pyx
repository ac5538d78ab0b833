# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The log's reader. See log_reader.pxd.

The buffer holds a stretch of the log with the segments' headers left out, so that a record is one piece of memory
wherever it lies; it grows to the largest record, but never for a record that would reach behind the last segment.
What a file lacks at its end is read as zeros.

The judgement looks at everything behind the place where the chain broke, for two things: a record that calls the place
durable, and bytes that are not zero in a segment that could not have been begun while the broken record was not on
disk. Since a segment is synced before the next is written to, the latter is every segment behind the one in which the
broken record would end, as far as it can be told. A record begins 8 bytes before a word that holds its own position,
which few words do: finding them is as fast as memory. What the file system knows to be a hole is passed over unread:
the holes at the ends of the last segments, which are allocated ahead of their use, are asked for before anything is
read, since what has been read, or read ahead, no longer counts as a hole.
"""
from libc.errno cimport EINVAL, ENOMEM, ENXIO, EPROTONOSUPPORT
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from kvcy.engine.checksum cimport crc32c
from kvcy.engine.files cimport file_close, file_data, file_last_hole, file_open_read, file_read_at, file_size
from kvcy.engine.log_format cimport (
    RECORD_HEADER_BYTES, RECORD_SIZE_MAX, SEGMENT_HEADER_BYTES, SEGMENT_NAME_BYTES, RecordHeader, place_in_file,
    record_space,
)
from kvcy.engine.log_segment cimport (
    SegmentList, history_seed, segment_name, segment_open, segments_find, segments_free)
from kvcy.engine.memory cimport memory_free, memory_map, memory_map_resize, memory_new_zeroed, memory_unmap
from kvcy.engine.platform cimport invariant, likely, unlikely

cdef enum:
    BUFFER_BYTES = 1 << 18          # fits a processor's second-level cache
    SCAN_BYTES = 1 << 16


# --- bytes

cdef bint open_file(LogReader* reader, uint64_t number) noexcept nogil:
    """Makes `number` the segment being read. False: error or header_reason says why not."""
    cdef int file
    if reader.file >= 0 and reader.file_number == number:
        return True
    if reader.file >= 0:
        file_close(reader.file)
    reader.file_number = number
    file = segment_open(
        reader.directory, number, reader.segment_bytes, reader.history, False, &reader.header_reason)
    reader.file = file if file >= 0 else -1
    reader.header_unknown = file == -EPROTONOSUPPORT
    if file < 0 and (reader.header_reason == NULL or file not in (-EINVAL, -EPROTONOSUPPORT)):
        reader.error = -file
    if file >= 0 and file_size(file) < <int64_t> (SEGMENT_HEADER_BYTES + reader.segment_bytes):
        reader.shortened = True
    return file >= 0


cdef uint64_t hole_of(const LogReader* reader, uint64_t number) noexcept nogil:
    """The place in segment `number` from which on it is known to be zero; its end when that is not known."""
    cdef uint64_t end = (number + 1) * reader.segment_bytes
    cdef uint64_t back = (reader.limit - end) // reader.segment_bytes if end < reader.limit else 0
    return reader.holes[back] if back < LOG_HOLES and reader.holes[back] < end else end


cdef bint read_more(LogReader* reader) noexcept nogil:
    """Reads on behind what the buffer holds, as far as there is room, within one segment."""
    cdef uint64_t place = reader.base + reader.filled
    cdef uint64_t end = (place // reader.segment_bytes + 1) * reader.segment_bytes
    cdef uint64_t hole = hole_of(reader, place // reader.segment_bytes)
    cdef size_t size = reader.capacity - reader.filled
    cdef int64_t got
    invariant(place < reader.limit and size > 0)
    if size > end - place:
        size = end - place
    if not open_file(reader, place // reader.segment_bytes):
        return False
    if place >= hole:
        memset(reader.buffer + reader.filled, 0, size)
        reader.filled += size
        return True
    if size > hole - place:
        size = hole - place
    got = file_read_at(reader.file, reader.buffer + reader.filled, size, place_in_file(place, reader.segment_bytes))
    if got < 0:
        reader.error = <int> -got
        return False
    if <size_t> got < size:
        memset(reader.buffer + reader.filled + got, 0, size - got)
    reader.filled += size
    return True


cdef bint make_room(LogReader* reader, uint64_t position, uint64_t size) noexcept nogil:
    """Lets the buffer begin at `position`, with room for `size` bytes."""
    cdef size_t skipped = position - reader.base
    cdef size_t capacity = reader.capacity
    cdef void* buffer
    if skipped >= reader.filled:
        reader.filled = 0
    else:
        reader.filled -= skipped
        memmove(reader.buffer, reader.buffer + skipped, reader.filled)
    reader.base = position
    if size <= capacity:
        return True
    while capacity < size:
        capacity *= 2
    buffer = memory_map_resize(reader.buffer, reader.capacity, capacity)
    if buffer == NULL:
        reader.error = ENOMEM
        return False
    reader.buffer = <char*> buffer
    reader.capacity = capacity
    return True


cdef const char* bytes_at(LogReader* reader, uint64_t position, uint64_t size) noexcept nogil:
    """The log's `size` bytes at `position`; NULL if there are not so many, or they cannot be read.
    REQUIRES: `position` is not below that of the last call."""
    invariant(position >= reader.base)
    if likely(position + size <= reader.base + reader.filled):
        return reader.buffer + (position - reader.base)
    if position > reader.limit or size > reader.limit - position or not make_room(reader, position, size):
        return NULL
    while reader.filled < size:
        if not read_more(reader):
            return NULL
    return reader.buffer


# --- records

cdef const char* record_fault(LogReader* reader, uint64_t position, LogRecord* record) noexcept nogil:
    """Reads the record at `position`; NULL, or why there is none."""
    cdef const char* data = bytes_at(reader, position, RECORD_HEADER_BYTES)
    cdef RecordHeader header
    cdef uint64_t space, i
    cdef uint32_t crc
    if data == NULL:
        return "the segment ends"
    memcpy(&header, data, RECORD_HEADER_BYTES)
    if header.size == 0 or header.size > RECORD_SIZE_MAX or header.position != position:
        return "no record"
    space = record_space(header.size)
    data = bytes_at(reader, position, space)
    if data == NULL:
        return "the record reaches behind the last segment"
    crc = crc32c(reader.seed, data + RECORD_HEADER_BYTES, header.size)
    if header.crc != crc32c(crc, &header.size, RECORD_HEADER_BYTES - sizeof(uint32_t)):
        return "the record does not match its checksum"
    if header.durable > position:
        return "the record calls itself durable"
    for i in range(RECORD_HEADER_BYTES + header.size, space):
        if data[i] != 0:
            return "the record's padding is not zero"
    record.position = position
    record.end = position + space
    record.durable = header.durable
    record.time_ms = <int64_t> header.time_ms
    record.operations = data + RECORD_HEADER_BYTES
    record.size = header.size
    return NULL


cdef LogFound reader_next(LogReader* reader) noexcept nogil:
    cdef const char* reason
    if reader.verdict.found != LOG_RECORD:
        return reader.verdict.found
    reason = record_fault(reader, reader.position, &reader.record)
    if unlikely(reason != NULL):
        judge(reader, reason)
        return reader.verdict.found
    reader.position = reader.record.end
    if reader.record.durable > reader.durable:
        reader.durable = reader.record.durable
    return LOG_RECORD


# --- the judgement

cdef uint64_t last_segment_of(LogReader* reader) noexcept nogil:
    """The number of the last segment that may have been written to when the record at the place was not yet durable."""
    cdef uint64_t last = reader.position + RECORD_HEADER_BYTES - 1
    cdef const char* data = bytes_at(reader, reader.position, RECORD_HEADER_BYTES)
    cdef RecordHeader header
    if data != NULL:
        memcpy(&header, data, RECORD_HEADER_BYTES)
        if header.position == reader.position and 0 < header.size <= RECORD_SIZE_MAX:
            last = reader.position + record_space(header.size) - 1
    return last // reader.segment_bytes


cdef uint64_t find_record(const char* data, uint64_t begin, uint64_t size, uint64_t* used) noexcept nogil:
    """Looks at `size` bytes of the log, from `begin` on, for a word that holds its own position less 8: the place of
    that word, or the end. `used` is set to the place behind the last word that is not zero, if there is one."""
    cdef uint64_t i = 0
    cdef uint64_t word
    cdef uint64_t words[8]
    while i < size:
        if size - i >= sizeof(words):
            memcpy(words, data + i, sizeof(words))
            if (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7]) == 0:
                i += sizeof(words)
                continue
        memcpy(&word, data + i, 8)
        if word != 0:
            used[0] = begin + i + 8
            if word == begin + i - 8:
                return begin + i
        i += 8
    return begin + size


cdef uint64_t pass_hole(LogReader* reader, uint64_t place) noexcept nogil:
    """The first place from `place` on that may be the word before one that is not zero, within its segment."""
    cdef uint64_t number = place // reader.segment_bytes
    cdef uint64_t offset = place_in_file(place, reader.segment_bytes)
    cdef int64_t data
    if not open_file(reader, number):
        return place
    if place >= hole_of(reader, number):
        return (number + 1) * reader.segment_bytes - 8
    data = file_data(reader.file, offset)
    if data == -ENXIO or data >= <int64_t> place_in_file(reader.segment_bytes - 1, reader.segment_bytes):
        return (number + 1) * reader.segment_bytes - 8
    if data < <int64_t> offset + 16:
        return place
    invariant(place % 8 == 0)
    return place + ((<uint64_t> data - offset) & ~<uint64_t> 7) - 8


cdef const char* search(LogReader* reader, uint64_t last, uint64_t* used) noexcept nogil:
    """Looks at everything behind the place for proof that it had been durable: what the proof is, or NULL. `used`: the
    place behind the last byte that is not zero, or 0."""
    cdef uint64_t place = reader.position
    cdef uint64_t size, found, used_before
    cdef LogRecord record
    cdef const char* data
    while place < reader.limit:
        used_before = used[0]
        size = reader.limit - place if reader.limit - place < SCAN_BYTES else SCAN_BYTES
        data = bytes_at(reader, place, size)
        if data == NULL:
            return NULL
        # The word of the position lies 8 bytes into a record, which must still be in the buffer when it is looked at.
        found = find_record(data + 8, place + 8, size - 8, used) if size > 8 else place + size
        if used[0] == 0 and (<const uint64_t*> data)[0] != 0:
            used[0] = place + 8
        if found == place + size:
            place = found - 8 if found < reader.limit and size > 8 else found
            if used[0] == used_before and place < reader.limit:
                place = pass_hole(reader, place)
        elif record_fault(reader, found - 8, &record) != NULL:
            place = found
        elif record.durable > reader.position:
            return "a record behind calls this place durable"
        else:
            place = record.end
            used[0] = place
        if reader.error != 0 or reader.header_reason != NULL:
            return NULL
    if used[0] > (last + 1) * reader.segment_bytes:
        return "a later segment is in use"
    return NULL


cdef void judge(LogReader* reader, const char* reason) noexcept nogil:
    """There is no record at the position, for the reason given: what that means."""
    cdef LogVerdict* verdict = &reader.verdict
    cdef const char* proof = NULL
    cdef uint64_t used = 0
    if reader.error == 0 and reader.header_reason == NULL:
        proof = search(reader, last_segment_of(reader), &used)
    verdict.position = reader.position
    verdict.segment = reader.position // reader.segment_bytes
    verdict.offset = place_in_file(reader.position, reader.segment_bytes)
    verdict.error = reader.error
    verdict.reason = reason
    if reader.error != 0:
        verdict.found = LOG_FAILED
        verdict.reason = "reading failed"
    elif reader.header_reason != NULL:
        verdict.found = LOG_DAMAGED
        verdict.reason = reader.header_reason
        verdict.segment = reader.file_number
        verdict.offset = 0
    elif reader.gap:
        verdict.found = LOG_DAMAGED
        verdict.reason = "a segment is missing"
    elif proof != NULL:
        verdict.found = LOG_DAMAGED
        verdict.reason = proof
    elif used != 0 or reader.shortened:
        verdict.found = LOG_TORN
    else:
        verdict.found = LOG_END


# --- opening and closing

cdef void find_holes(LogReader* reader, uint64_t first, uint64_t next) noexcept nogil:
    """Asks for the holes of the last segments from `first` up to `next`. What cannot be told is read."""
    cdef char[SEGMENT_NAME_BYTES] name
    cdef uint64_t number, hole
    cdef int64_t found
    cdef int file, back
    for back in range(LOG_HOLES):
        reader.holes[back] = <uint64_t> -1
        if next - first <= <uint64_t> back:
            continue
        number = next - 1 - <uint64_t> back
        segment_name(name, number, False)
        file = file_open_read(reader.directory, name)
        if file < 0:
            continue
        found = file_last_hole(file)
        file_close(file)
        if found >= SEGMENT_HEADER_BYTES:
            # Whole words, so that no record's header and no padding is cut by the border.
            hole = number * reader.segment_bytes + ((<uint64_t> found - SEGMENT_HEADER_BYTES + 7) & ~<uint64_t> 7)
            reader.holes[back] = hole


cdef int find_limit(LogReader* reader) noexcept nogil:
    """Finds how far segments follow one another from the position on; 0 or a negative errno."""
    cdef uint64_t first = reader.position // reader.segment_bytes
    cdef uint64_t next = first
    cdef SegmentList found
    cdef size_t i
    cdef int answer = segments_find(reader.directory, &found)
    if answer < 0:
        return answer
    for i in range(found.count):
        if found.numbers[i] == next:
            next += 1
        elif found.numbers[i] > next:
            reader.gap = True
    segments_free(&found)
    find_holes(reader, first, next)
    reader.limit = next * reader.segment_bytes
    if next == first:
        reader.limit = reader.position
        if reader.position % reader.segment_bytes != 0:
            reader.gap = True
    return 0


cdef LogReader* reader_open(
        int directory, const unsigned char* history, uint64_t segment_bytes, uint64_t position,
        int* error) noexcept nogil:
    cdef LogReader* reader = <LogReader*> memory_new_zeroed(sizeof(LogReader))
    invariant(segment_bytes > 0 and position % 8 == 0)
    error[0] = ENOMEM
    if reader == NULL:
        return NULL
    reader.directory = directory
    reader.file = -1
    reader.segment_bytes = segment_bytes
    reader.seed = history_seed(history)
    memcpy(reader.history, history, 16)
    reader.position = reader.base = reader.durable = position
    reader.buffer = <char*> memory_map(BUFFER_BYTES)
    if reader.buffer != NULL:
        reader.capacity = BUFFER_BYTES
        error[0] = -find_limit(reader)
    if error[0] != 0:
        reader_close(reader)
        return NULL
    return reader


cdef uint64_t reader_data_end(const LogReader* reader) noexcept nogil:
    cdef uint64_t end = reader.limit
    cdef uint64_t number
    while end > reader.position:
        number = (end - 1) // reader.segment_bytes
        if hole_of(reader, number) > number * reader.segment_bytes:
            return hole_of(reader, number)
        end = number * reader.segment_bytes
    return reader.position


cdef void reader_close(LogReader* reader) noexcept nogil:
    if reader.file >= 0:
        file_close(reader.file)
    if reader.buffer != NULL:
        memory_unmap(reader.buffer, reader.capacity)
    memory_free(reader)
