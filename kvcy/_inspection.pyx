# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reading a data directory's files to their ends without loading them, and mending segments.

A SnapshotReading and a LogReading are the engine's readers (engine/snapshot_load.pxd, engine/log_reader.pxd) with a
Python face: work goes in steps or in a thread, so that progress can be shown, and ends in facts (_facts.py). Neither
changes anything. The three functions below them do; who calls them sees to what is to be kept (tools/repair.py).
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from kvcy.engine.entry cimport TYPE_STRING
from kvcy.engine.files cimport file_close, file_size, file_sync, file_write_zeros
from kvcy.engine.log_format cimport place_in_file
from kvcy.engine.log_reader cimport (
    LOG_DAMAGED, LOG_FAILED, LOG_RECORD, LOG_TORN, LogReader, reader_close, reader_next, reader_open)
from kvcy.engine.log_segment cimport segment_make, segment_open, segment_write_header
from kvcy.engine.operations cimport DECODED_END, DECODED_ONE, OPERATION_PUT, Decoded, Operation, operation_next
from kvcy.engine.platform cimport add_acq_rel_u32, load_relaxed_u64
from kvcy.engine.snapshot cimport SNAPSHOT_BASED, SNAPSHOT_UNLOGGED
from kvcy.engine.snapshot_load cimport (
    SNAPSHOT_UNKNOWN, SnapshotFile, snapshot_close, snapshot_load, snapshot_open)

import os

from kvcy._facts import NEVER, NOWHERE, Found, LogFacts, SnapshotFacts, misfit
from kvcy.engine.directory import segment_name, snapshot_name
from kvcy.errors import DirectoryError

STEP_BYTES = 4 << 20         # read at a time, without the GIL


cdef class SnapshotReading:
    """One snapshot: the index is read at once, all the rest by run().

    Args:
        directory: open.
        manifest: its manifest.
        position: of the snapshot's name.

    Raises:
        DirectoryError: it cannot be opened.
    """
    cdef SnapshotFile snapshot
    cdef int file
    cdef bint opened
    cdef object directory, manifest, position

    def __cinit__(self, directory, manifest, position):
        self.directory = directory
        self.manifest = manifest
        self.position = position
        self.file = -1
        memset(&self.snapshot, 0, sizeof(SnapshotFile))
        name = snapshot_name(position)
        try:
            self.file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory.file)
        except OSError as error:
            raise DirectoryError(f"{directory.path}/{name} cannot be read: {error.strerror}") from error
        with nogil:
            self.opened = snapshot_open(&self.snapshot, self.file)

    def __dealloc__(self):
        self.close()

    @property
    def bytes(self) -> int:
        return self.snapshot.file_bytes

    @property
    def done(self) -> int:
        """How many bytes run() has checked so far."""
        return load_relaxed_u64(&self.snapshot.loaded_bytes)

    def run(self) -> None:
        """Checks every block. Runs without the GIL."""
        if self.opened:
            with nogil:
                snapshot_load(&self.snapshot, NULL, 0)

    def stop(self) -> None:
        """Lets run(), in another thread, return. The facts are then of no use."""
        add_acq_rel_u32(&self.snapshot.failed, 1)

    def facts(self) -> SnapshotFacts:
        """What was found. REQUIRES: run() has returned.

        Raises:
            DirectoryError: the file could not be read.
            MemoryError: there was no memory for a block.
        """
        cdef SnapshotFile* snapshot = &self.snapshot
        cdef bytes history = snapshot.header.history[:16]
        facts = SnapshotFacts(self.position, snapshot.coverage.greatest, snapshot.header.created_ms, snapshot.keys,
                              snapshot.coverage.count, snapshot.file_bytes)
        facts.unlogged = (snapshot.header.flags & SNAPSHOT_UNLOGGED) != 0
        facts.based = (snapshot.header.flags & SNAPSHOT_BASED) != 0
        if snapshot.failed != 0:
            if snapshot.error == 0:
                raise MemoryError(f"no memory to read {facts.name}")
            if snapshot.error < 0:
                raise DirectoryError(
                    f"{self.directory.path}/{facts.name} could not be read: {os.strerror(-snapshot.error)}")
            facts.fault = snapshot.error_reason.decode()
            facts.offset = snapshot.error_offset
            facts.unknown = snapshot.error == SNAPSHOT_UNKNOWN
        else:
            facts.fault, facts.offset = misfit(history, snapshot.header.shards, snapshot.header.begin_position,
                                               self.manifest, self.position)
        return facts

    def close(self) -> None:
        """Closes the file; may be called again."""
        snapshot_close(&self.snapshot)
        if self.file >= 0:
            os.close(self.file)
        self.file = -1


cdef class LogReading:
    """The log from a position on, every record decoded.

    Args:
        directory: open.
        manifest: its manifest.
        position: the beginning of a record, or the log's end.
        until_position: records that end behind it are not read, nor what follows the first of them.
        until_ms: the same for records that were made later (Unix time).

    Raises:
        DirectoryError: the segments cannot be found.
    """
    cdef LogReader* reader
    cdef object directory
    cdef uint64_t start, records, end
    cdef int64_t first_ms, last_ms, until_ms
    cdef uint64_t until_position
    cdef bint beyond                 # a record was met that is not to be read
    cdef const char* unknown         # why the last record is none that this version can apply; NULL: it is

    def __cinit__(self, directory, manifest, uint64_t position, uint64_t until_position=NOWHERE,
                  int64_t until_ms=NEVER):
        cdef bytes history = manifest.history
        cdef const unsigned char* name = history
        cdef int error = 0
        self.directory = directory
        self.until_position = until_position
        self.until_ms = until_ms
        self.beyond = False
        self.start = self.end = position
        self.unknown = NULL
        self.reader = reader_open(directory.file, name, manifest.segment_bytes, position, &error)
        if self.reader == NULL:
            raise DirectoryError(f"the log in {directory.path} cannot be read: {os.strerror(error)}")

    def __dealloc__(self):
        self.close()

    @property
    def position(self) -> int:
        """Behind the last record that was read."""
        return self.end

    @property
    def limit(self) -> int:
        """The end of the last segment: records can reach up to here."""
        return self.reader.limit

    cdef bint understand(self) noexcept nogil:
        """Whether each operation of the record is one that this version can apply."""
        cdef const char* at = self.reader.record.operations
        cdef const char* end = at + self.reader.record.size
        cdef Operation operation
        cdef Decoded decoded = operation_next(&at, end, &operation)
        while decoded == DECODED_ONE:
            if operation.kind == OPERATION_PUT and operation.type != TYPE_STRING:
                self.unknown = "a record holds a value of a type this version does not know"
                return False
            decoded = operation_next(&at, end, &operation)
        if decoded != DECODED_END:
            self.unknown = "a record's checksum is right, but it holds no operations this version knows"
            return False
        return True

    def step(self, uint64_t size) -> bool:
        """Reads records of about `size` bytes on; whether there may be more. Runs without the GIL."""
        cdef uint64_t until = self.end + size
        cdef LogReader* reader = self.reader
        with nogil:
            while self.unknown == NULL and self.end < until and reader_next(reader) == LOG_RECORD:
                self.beyond = reader.record.end > self.until_position or reader.record.time_ms > self.until_ms
                if self.beyond or not self.understand():
                    break
                if self.records == 0:
                    self.first_ms = reader.record.time_ms
                self.last_ms = reader.record.time_ms
                self.records += 1
                self.end = reader.record.end
        return not self.beyond and self.unknown == NULL and reader.verdict.found == LOG_RECORD

    def facts(self) -> LogFacts:
        """What was found. REQUIRES: step() has returned false.

        Raises:
            DirectoryError: the log could not be read.
        """
        cdef LogReader* reader = self.reader
        facts = LogFacts(self.start, self.end, reader.durable, self.records, self.first_ms, self.last_ms)
        facts.segment = reader.verdict.segment
        facts.offset = reader.verdict.offset
        if self.unknown != NULL:
            facts.found, facts.unknown, facts.reason = Found.DAMAGED, True, self.unknown.decode()
            facts.segment = self.end // reader.segment_bytes
            facts.offset = place_in_file(self.end, reader.segment_bytes)
            return facts
        if self.beyond:
            facts.beyond = True
            return facts
        facts.reason = reader.verdict.reason.decode()
        if reader.verdict.found == LOG_FAILED:
            raise DirectoryError(
                f"the log could not be read: {os.strerror(reader.verdict.error)} ({facts.place(self.directory.path)})")
        if reader.verdict.found == LOG_TORN:
            facts.found = Found.TORN
        if reader.verdict.found == LOG_DAMAGED:
            facts.found = Found.DAMAGED
            facts.header = reader.header_reason != NULL
            facts.unknown = reader.header_unknown
        return facts

    def close(self) -> None:
        """Closes what it has open; may be called again."""
        if self.reader != NULL:
            reader_close(self.reader)
        self.reader = NULL


def read_log(directory, manifest, position, until_position=NOWHERE, until_ms=NEVER, reach=None) -> LogFacts:
    """Reads the log to its end, or as far as LogReading's arguments say.

    Args:
        reach: is called on the way with how many bytes have been read, and how many there may be; None: nobody is.

    Raises:
        DirectoryError: it could not be read.
    """
    reading = LogReading(directory, manifest, position, until_position, until_ms)
    try:
        while reading.step(STEP_BYTES):
            if reach is not None:
                reach(reading.position - position, min(reading.limit, until_position) - position)
        return reading.facts()
    finally:
        reading.close()


# --- mending

cdef int check(int answer, directory, uint64_t number) except -1:
    if answer < 0:
        raise DirectoryError(f"{directory.path}/{segment_name(number)} cannot be written: {os.strerror(-answer)}")
    return answer


def write_segment_header(directory, manifest, uint64_t number) -> None:
    """Gives the segment, which is there, the header that it must have, and syncs it."""
    cdef bytes history = manifest.history
    cdef const unsigned char* name = history
    check(segment_write_header(directory.file, number, manifest.segment_bytes, name), directory, number)


def make_segment(directory, manifest, uint64_t number) -> None:
    """Makes the segment, full of zeros, synced, name and all."""
    cdef bytes history = manifest.history
    cdef const unsigned char* name = history
    file_close(check(segment_make(directory.file, number, manifest.segment_bytes, name), directory, number))


def erase_segment(directory, manifest, uint64_t number, uint64_t offset) -> None:
    """Makes the segment's file zero from `offset` on, and syncs it."""
    cdef bytes history = manifest.history
    cdef const unsigned char* name = history
    cdef const char* reason = NULL
    cdef int answer = 0
    cdef int file = check(segment_open(directory.file, number, manifest.segment_bytes, name, True, &reason),
                          directory, number)
    cdef int64_t size = file_size(file)
    if size > <int64_t> offset:
        answer = file_write_zeros(file, <uint64_t> size - offset, offset)
    if answer == 0:
        answer = file_sync(file)
    file_close(file)
    check(answer if size >= 0 else <int> size, directory, number)
