# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Loading a data directory into an empty store: its newest snapshot, then the log behind it.

The rules, and what each fault means: docs/durability.md, "Start". Nothing in the directory is changed but for files
that were never finished, which are removed.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from kvcy._conversions cimport clock_ms
from kvcy._core cimport Store
from kvcy.engine.coverage cimport Coverage
from kvcy.engine.log_reader cimport (
    LOG_DAMAGED, LOG_FAILED, LOG_TORN, LogReader, reader_close, reader_data_end, reader_open)
from kvcy.engine.platform cimport add_relaxed_u32, load_relaxed_u64, store_relaxed_u32
from kvcy.engine.replay cimport REPLAY_NO_MEMORY, REPLAYED, replay_reason
from kvcy.engine.replay_stream cimport (
    STREAM_WORKERS_MAX, ReplayStream, stream_close, stream_init, stream_read, stream_work)
from kvcy.engine.snapshot_load cimport SnapshotFile, snapshot_close, snapshot_load, snapshot_open

import os
from dataclasses import dataclass
from functools import partial

from kvcy._facts import NOWHERE, misfit, place
from kvcy.engine.directory import snapshot_name
from kvcy.errors import DamagedError, DirectoryError

NO_MEMORY = "no memory to replay the log"


def in_threads(calls) -> list:
    """The results of the calls, all made at the same time: the first in this thread, each other in one of its own."""
    if len(calls) == 1:
        return [calls[0]()]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(calls) - 1) as pool:
        others = [pool.submit(call) for call in calls[1:]]
        first = calls[0]()
        return [first, *(other.result() for other in others)]


class LoadStopped(Exception):
    """Loading was stopped before its end: the store holds a part of the data."""


@dataclass
class LoadReport:
    """What loading found.

    Attributes:
        snapshot: the name of the snapshot that was loaded, "" when there was none.
        snapshot_position: where the log continues it; 0 when there was none.
        snapshot_bytes: its file's size.
        snapshot_flags: its SnapshotFlags (engine/snapshot.pxd).
        keys: loaded from it.
        records: replayed from the log.
        position: where the log goes on.
        durable: up to which the log is known to have been on disk.
        before: the directory inside with the files from before a restore that this start has finished, "" when there
            was none.
        torn: what was found behind the end and is cut off when the log is opened; "" when nothing was.
    """

    snapshot: str = ""
    snapshot_position: int = 0
    snapshot_bytes: int = 0
    snapshot_flags: int = 0
    keys: int = 0
    records: int = 0
    position: int = 0
    durable: int = 0
    torn: str = ""
    before: str = ""


cdef class Loader:
    """Loads a directory, once.

    Args:
        store: made with the manifest's hash key and shards, empty, used by nobody else until load() is done.
        directory: a Directory (engine/directory.py), locked.
        manifest: its manifest.
        threads: how many to load with; None: as many as there are processors for this process.
    """
    cdef Store store
    cdef SnapshotFile* loading       # while threads load it
    cdef ReplayStream* stream        # while threads replay the log
    cdef uint32_t threads
    cdef bint stopping
    cdef uint64_t snapshot_bytes
    cdef uint64_t snapshot_done
    cdef uint64_t until              # where replaying ends
    cdef uint64_t log_begin
    cdef uint64_t log_bytes
    cdef uint64_t log_done
    cdef object directory
    cdef object manifest
    cdef str path

    def __cinit__(self, Store store not None, directory, manifest, threads=None):
        self.store = store
        self.directory = directory
        self.manifest = manifest
        self.path = directory.path
        self.loading = NULL
        self.stream = NULL
        if threads is None:
            threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = threads

    def load(self, base=None, until=None) -> LoadReport:
        """Loads a snapshot and replays the log behind it.

        Args:
            base: the snapshot's position, -1 for none; None: the newest.
            until: the position at which replaying ends, which is the end of a record; None: the log's end.

        Raises:
            DamagedError: a file is damaged; the message names it, the place in it and the log's position.
            DirectoryError: the files could not be read.
            MemoryError: there is no memory for what they hold.
            LoadStopped: stop() was called.
        """
        cdef SnapshotFile snapshot
        cdef uint64_t position = 0
        cdef bint loaded
        report = LoadReport()
        self.directory.remove_unfinished()
        self.until = NOWHERE if until is None else until
        if base is None:
            base = max(self.directory.snapshots(), default=-1)
        if base < 0:
            report.position = self.replay(0, NULL, report)
            return report
        report.snapshot = snapshot_name(base)
        file = os.open(os.path.join(self.path, report.snapshot), os.O_RDONLY | os.O_CLOEXEC)
        try:
            loaded = self.open_snapshot(&snapshot, file)
            if loaded:
                self.refuse_misfit(&snapshot, base)
                self.snapshot_bytes = snapshot.file_bytes
                self.loading = &snapshot
                loaded = all(in_threads([self.load_shards] * self.threads))
                self.loading = NULL
                self.snapshot_done = snapshot.file_bytes
            if self.stopping:
                raise LoadStopped
            if not loaded:
                self.refuse_snapshot(&snapshot, report.snapshot)
            report.keys = snapshot.keys
            report.snapshot_position = snapshot.header.begin_position
            report.snapshot_bytes = snapshot.file_bytes
            report.snapshot_flags = snapshot.header.flags
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

    cdef int refuse_misfit(self, SnapshotFile* snapshot, object position) except -1:
        cdef bytes history = snapshot.header.history[:16]
        fault, offset = misfit(history, snapshot.header.shards, snapshot.header.begin_position, self.manifest, position)
        if fault:
            raise DamagedError(
                f"{self.path}/{snapshot_name(position)} does not belong here: {fault} (offset {offset}). Put the right "
                f"files back from a copy, or see what can be saved: kvcy repair {self.path}")
        return 0

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
        cdef LogReader* reader = reader_open(directory, name, segment_bytes, position, &error)
        cdef ReplayStream* stream = <ReplayStream*> malloc(sizeof(ReplayStream))
        try:
            if reader == NULL:
                raise DirectoryError(f"the log in {self.path} could not be read: {os.strerror(error)}")
            if stream == NULL:
                raise MemoryError(NO_MEMORY)
            self.run_stream(stream, reader, <const Coverage*> coverage)
            report.records = stream.records
            report.durable = reader.durable
            if stream.until_reached or reader.verdict.position == self.until:
                return self.until
            self.judge(reader, report)
            return reader.verdict.position
        finally:
            if reader != NULL:
                reader_close(reader)
            free(stream)

    cdef int run_stream(self, ReplayStream* stream, LogReader* reader, const Coverage* coverage) except -1:
        """Replays with a thread for each processor, or alone on a single one."""
        cdef uint32_t workers = min(self.threads, <uint32_t> STREAM_WORKERS_MAX) if self.threads > 1 else 0
        cdef bint ready = stream_init(stream, self.store.keyspace, coverage, workers, clock_ms())
        stream.until_position = self.until
        self.log_begin = reader.position
        self.log_bytes = reader_data_end(reader) - reader.position
        stream.log_begin = self.log_begin
        stream.log_end = reader_data_end(reader)
        self.stream = stream
        try:
            if ready:
                calls = [partial(self.replay_shards, part) for part in range(workers)]
                in_threads([partial(self.read_stream, <size_t> reader), *calls])
        finally:
            self.stream = NULL
            stream_close(stream)
        self.log_bytes = self.log_done = reader.position - self.log_begin
        if self.stopping:
            raise LoadStopped
        if not ready or stream.status == REPLAY_NO_MEMORY:
            raise MemoryError(NO_MEMORY)
        if stream.status != REPLAYED:
            raise DamagedError(f"{self.path}: the log's record at position {stream.fault_position} cannot be "
                               f"applied: {replay_reason(stream.status).decode()}")
        return 0

    def replay_shards(self, uint32_t part) -> None:
        """One thread's share of replaying the log."""
        with nogil:
            stream_work(self.stream, part)

    def read_stream(self, size_t reader) -> None:
        """The part of the thread that reads; `reader`: the LogReader's address."""
        with nogil:
            stream_read(self.stream, <LogReader*> reader)

    # --- from other threads, while load() runs

    def stop(self) -> None:
        """Lets load() raise LoadStopped soon."""
        self.stopping = True
        if self.stream != NULL:
            store_relaxed_u32(&self.stream.stop, 1)
        if self.loading != NULL:
            add_relaxed_u32(&self.loading.failed, 1)

    def progress(self) -> tuple[int, int]:
        """Bytes that were loaded, and bytes there are to load."""
        cdef uint64_t done = self.snapshot_done + self.log_done
        if self.loading != NULL:
            done = load_relaxed_u64(&self.loading.loaded_bytes)
        if self.stream != NULL and load_relaxed_u64(&self.stream.position) > self.log_begin:
            done += load_relaxed_u64(&self.stream.position) - self.log_begin
        return done, self.snapshot_bytes + self.log_bytes

    cdef int judge(self, LogReader* reader, object report) except -1:
        where = place(self.path, reader.verdict.segment, reader.verdict.offset, reader.verdict.position,
                      reader.verdict.reason.decode())
        if reader.verdict.found == LOG_FAILED:
            raise DirectoryError(f"the log could not be read: {os.strerror(reader.verdict.error)} ({where})")
        if reader.verdict.found == LOG_DAMAGED:
            raise DamagedError(f"the log is damaged: {where}. What is behind this place had been safely on disk. "
                               f"Put the file back from a copy, or see what can be saved: kvcy repair {self.path}")
        if reader.verdict.found == LOG_TORN:
            report.torn = where
        return 0
