# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Loading a data directory into an empty store: its newest snapshot, then the log behind it.

The rules, and what each fault means: docs/durability.md, "Start". Nothing in the directory is changed but for files
that were never finished, which are removed.
"""
from libc.stdint cimport uint64_t

from kvcy._conversions cimport clock_ms
from kvcy._core cimport Store
from kvcy.engine.coverage cimport Coverage
from kvcy.engine.log_reader cimport (
    LOG_DAMAGED, LOG_FAILED, LOG_RECORD, LOG_TORN, LogReader, reader_close, reader_next, reader_open)
from kvcy.engine.replay cimport (
    REPLAY_NO_MEMORY, REPLAYED, Replay, ReplayStatus, replay_init, replay_reason, replay_record)
from kvcy.engine.snapshot_load cimport SnapshotFile, snapshot_close, snapshot_load, snapshot_open

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kvcy.engine.directory import segment_name, snapshot_name
from kvcy.errors import DamagedError, DirectoryError


@dataclass
class LoadReport:
    """What loading found.

    Attributes:
        snapshot: the name of the snapshot that was loaded, "" when there was none.
        snapshot_position: where the log continues it; 0 when there was none.
        snapshot_bytes: its file's size.
        keys: loaded from it.
        records: replayed from the log.
        position: where the log goes on.
        durable: up to which the log is known to have been on disk.
        torn: what was found behind the end and is cut off when the log is opened; "" when nothing was.
    """

    snapshot: str = ""
    snapshot_position: int = 0
    snapshot_bytes: int = 0
    keys: int = 0
    records: int = 0
    position: int = 0
    durable: int = 0
    torn: str = ""


cdef class Loader:
    """Loads a directory, once.

    Args:
        store: made with the manifest's hash key and shards, empty, used by nobody else until load() is done.
        directory: a Directory (engine/directory.py), locked.
        manifest: its manifest.
    """
    cdef Store store
    cdef SnapshotFile* loading       # while load() has threads do it
    cdef object directory
    cdef object manifest
    cdef str path

    def __cinit__(self, Store store not None, directory, manifest):
        self.store = store
        self.directory = directory
        self.manifest = manifest
        self.path = directory.path
        self.loading = NULL

    def load(self) -> LoadReport:
        """Loads the newest snapshot and replays the log behind it.

        Raises:
            DamagedError: a file is damaged; the message names it, the place in it and the log's position.
            DirectoryError: the files could not be read.
            MemoryError: there is no memory for what they hold.
        """
        cdef SnapshotFile snapshot
        cdef uint64_t position = 0
        cdef bint loaded
        report = LoadReport()
        self.directory.remove_unfinished()
        snapshots = self.directory.snapshots()
        if not snapshots:
            report.position = self.replay(0, NULL, report)
            return report
        report.snapshot = snapshot_name(max(snapshots))
        file = os.open(os.path.join(self.path, report.snapshot), os.O_RDONLY | os.O_CLOEXEC)
        try:
            loaded = self.open_snapshot(&snapshot, file)
            if loaded:
                self.loading = &snapshot
                threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
                with ThreadPoolExecutor(threads) as pool:
                    loaded = all([part.result() for part in [pool.submit(self.load_shards) for _ in range(threads)]])
                self.loading = NULL
            if not loaded:
                self.refuse_snapshot(&snapshot, report.snapshot)
            report.keys = snapshot.keys
            report.snapshot_position = snapshot.header.begin_position
            report.snapshot_bytes = snapshot.file_bytes
            position = snapshot.header.begin_position
            report.position = self.replay(position, &snapshot.coverage, report)
            if report.position < snapshot.coverage.greatest:
                raise DamagedError(
                    f"{self.path}: the log ends at position {report.position}, but {report.snapshot} was made when it "
                    f"reached {snapshot.coverage.greatest}: segments are missing or were cut. "
                    f"See: kvcy check {self.path}")
        finally:
            snapshot_close(&snapshot)
            os.close(file)
        return report

    def load_shards(self) -> bool:
        """One thread's share of loading a snapshot: shard after shard until none is left. False: a fault was met."""
        cdef bint loaded
        with nogil:
            loaded = snapshot_load(self.loading, self.store.keyspace, clock_ms())
        return loaded

    cdef bint open_snapshot(self, SnapshotFile* snapshot, int file) noexcept:
        cdef bint opened
        with nogil:
            opened = snapshot_open(snapshot, file)
        return opened

    cdef int refuse_snapshot(self, SnapshotFile* snapshot, str name) except -1:
        if snapshot.error < 0:
            raise DirectoryError(f"{self.path}/{name} could not be read: {os.strerror(-snapshot.error)}")
        if snapshot.error == 0:
            raise MemoryError(f"no memory to load {name}")
        raise DamagedError(
            f"{self.path}/{name} is damaged at offset {snapshot.error_offset}: {snapshot.error_reason.decode()}. "
            f"Put the file back from a copy, or see what can be saved: kvcy repair {self.path}")

    cdef uint64_t replay(self, uint64_t position, const void* coverage, object report) except? 0:
        """Applies the log from `position` on; where it ends."""
        cdef bytes history = self.manifest.history
        cdef const unsigned char* name = history
        cdef int directory = self.directory.file
        cdef uint64_t segment_bytes = self.manifest.segment_bytes
        cdef int error = 0
        cdef uint64_t records = 0
        cdef Replay replay
        cdef ReplayStatus status = REPLAYED
        cdef LogReader* reader = reader_open(directory, name, segment_bytes, position, &error)
        if reader == NULL:
            raise DirectoryError(f"the log in {self.path} could not be read: {os.strerror(error)}")
        try:
            with nogil:
                replay_init(&replay, self.store.keyspace, <const Coverage*> coverage, 0, 1, clock_ms())
                while status == REPLAYED and reader_next(reader) == LOG_RECORD:
                    status = replay_record(&replay, reader.record.operations, reader.record.size,
                                           reader.record.position)
                    records += 1
            if status == REPLAY_NO_MEMORY:
                raise MemoryError("no memory to replay the log")
            if status != REPLAYED:
                raise DamagedError(f"{self.path}: the log's record at position {reader.record.position} cannot be "
                                   f"applied: {replay_reason(status).decode()}")
            self.judge(reader, report)
            report.records = records
            report.durable = reader.durable
            return reader.verdict.position
        finally:
            reader_close(reader)

    cdef int judge(self, LogReader* reader, object report) except -1:
        where = (f"{self.path}/{segment_name(reader.verdict.segment)}, offset {reader.verdict.offset}, "
                 f"log position {reader.verdict.position}: {reader.verdict.reason.decode()}")
        if reader.verdict.found == LOG_FAILED:
            raise DirectoryError(f"the log could not be read: {os.strerror(reader.verdict.error)} ({where})")
        if reader.verdict.found == LOG_DAMAGED:
            raise DamagedError(f"the log is damaged: {where}. What is behind this place had been safely on disk. "
                               f"Put the file back from a copy, or see what can be saved: kvcy repair {self.path}")
        if reader.verdict.found == LOG_TORN:
            report.torn = where
        return 0
