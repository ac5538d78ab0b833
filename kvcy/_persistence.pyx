# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Persistence: a store's data directory at work. What the files are, and the rules: docs/durability.md.

    Persistence(store, directory)
      load()             newest snapshot, then the log (_loading.pyx); says where the log ends
      open_log(policy)   from here on every change of the store is logged
      flush(), prepare() one thread each, until stop()
      snapshots          makes them (_saving.pyx)
      close()            all is durable, or an exception says why not
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy._conversions cimport clock_ms
from kvcy._core cimport Store
from kvcy._saving cimport Snapshots
from kvcy.engine.log cimport (
    LOG_ALWAYS, LOG_BROKEN, LOG_EVERYSEC, LOG_NO, Log, LogPiece, LogPolicy, LogStatistics, log_appended, log_durable,
    log_error, log_set_policy, log_state, log_statistics, log_written)
from kvcy.engine.log_opening cimport LogOptions, log_open
from kvcy.engine.log_writer cimport log_close, log_flush_run, log_prepare_run, log_stop
from kvcy.engine.operations cimport OPERATION_HEAD_MAX, OpBuffer, ops_swap
from kvcy.engine.snapshot cimport SNAPSHOT_BASED
from kvcy.engine.whole cimport keyspace_dirty

import errno
import os

from kvcy._loading import Loader, LoadReport
from kvcy.errors import LogError

cdef int close_log(Log* log, int64_t now_ms) noexcept nogil:
    """As log_close; its conclusion is the swap of a database with itself."""
    cdef char[OPERATION_HEAD_MAX] memory
    cdef OpBuffer operation
    cdef LogPiece conclusion
    operation.data = memory
    operation.size = 0
    operation.capacity = sizeof(memory)
    ops_swap(&operation, 0, 0)
    conclusion.data = operation.data
    conclusion.size = operation.size
    return log_close(log, &conclusion, now_ms)


POLICIES = {"always": LOG_ALWAYS, "everysec": LOG_EVERYSEC, "no": LOG_NO}


cdef class Persistence:
    """The data directory of a store.

    Args:
        store: made with the manifest's hash key and shards, empty, used by nobody else until load() is done.
        directory: a Directory (engine/directory.py), locked; close() gives it up. None: there is none until the first
            snapshot claims one.
        manifest: its manifest, or the one it will have.
    """
    cdef Store store
    cdef Log* log                    # owned; also the keyspace's, from open_log to close
    cdef readonly object manifest
    cdef readonly Snapshots snapshots
    cdef public str before           # where the files from before a restore are that this start has completed; "": none

    def __cinit__(self, Store store not None, directory, manifest):
        self.store = store
        self.manifest = manifest
        self.snapshots = Snapshots(store, directory, manifest)
        self.log = NULL
        self.before = ""

    @property
    def directory(self):
        """The Directory, locked; None: there is none yet."""
        return self.snapshots.directory

    @property
    def path(self) -> str:
        """The directory's."""
        return self.directory.path

    def load(self, began=None) -> LoadReport:
        """Loads what the directory holds; `began` is called with the Loader before. Raises what Loader.load does."""
        loader = Loader(self.store, self.directory, self.manifest)
        if began is not None:
            began(loader)
        report = loader.load()
        self.snapshots.position = report.snapshot_position
        self.snapshots.bytes = report.snapshot_bytes
        self.snapshots.flags = report.snapshot_flags & SNAPSHOT_BASED
        return report

    # --- logging

    def open_log(self, report, str policy: str) -> None:
        """Lets the log go on where `report`, which load() returned, says that it ends.

        Raises:
            LogError: the segment could not be made or opened.
        """
        cdef LogOptions options
        cdef bytes history = self.manifest.history
        cdef const unsigned char* name = history
        cdef int error = 0
        cdef uint32_t i
        memset(&options, 0, sizeof(options))
        options.directory = self.directory.file
        memcpy(options.history, name, 16)
        options.segment_bytes = self.manifest.segment_bytes
        options.position = report.position
        options.durable = report.durable
        options.erase = bool(report.torn)
        options.policy = POLICIES[policy]
        with nogil:
            self.log = log_open(&options, &error)
        if self.log == NULL:
            wanted = f" (a segment takes {options.segment_bytes:,} bytes)" if error == errno.ENOSPC else ""
            raise LogError(f"the log in {self.path} cannot be opened: {os.strerror(error)}{wanted}")
        for i in range(self.store.keyspace.shard_count):
            self.store.keyspace.shards[i].position = report.position
        self.store.keyspace.log = self.log
        self.snapshots.log = self.log

    def flush(self) -> None:
        """The flusher: writes and syncs until stop(). Needs a thread of its own."""
        with nogil:
            log_flush_run(self.log)

    def prepare(self) -> None:
        """Makes segments ahead of their use until stop(). Needs a thread of its own."""
        with nogil:
            log_prepare_run(self.log)

    def stop(self) -> None:
        """Lets flush() and prepare() return, all being durable that can be. Nothing may be changed after this."""
        if self.log != NULL:
            log_stop(self.log)

    def set_policy(self, str policy not None) -> None:
        """appendfsync: always, everysec or no."""
        cdef LogPolicy number = POLICIES[policy]
        if self.log != NULL:
            log_set_policy(self.log, number)

    def save(self) -> str:
        """Writes a snapshot, beside everything else: see Snapshots.save."""
        self.snapshots.prepare()
        return self.snapshots.save()

    @property
    def logging(self) -> bool:
        """Whether changes are logged."""
        return self.log != NULL

    def changes(self) -> int:
        """How many changes the store has seen since it was opened."""
        return keyspace_dirty(self.store.keyspace)

    @property
    def error(self) -> str:
        """Why the log takes no writes; "" when it does."""
        if self.log == NULL or log_error(self.log) == 0:
            return ""
        return os.strerror(log_error(self.log))

    @property
    def broken(self) -> bool:
        """Whether a write or sync has failed, so that nothing will become durable any more."""
        return self.log != NULL and log_state(self.log) == LOG_BROKEN

    def positions(self) -> tuple[int, int]:
        """Where the log ends, and up to where it is durable."""
        if self.log == NULL:
            return 0, 0
        return log_appended(self.log), log_durable(self.log)

    @property
    def unwritten_bytes(self) -> int:
        """Of the log, that are in no file yet; of a record that is not whole yet some may be."""
        cdef uint64_t written = log_written(self.log) if self.log != NULL else 0
        cdef uint64_t appended = log_appended(self.log) if self.log != NULL else 0
        return appended - written if appended > written else 0

    def statistics(self) -> dict[str, int]:
        """Counts since the log was opened."""
        cdef LogStatistics counts
        if self.log == NULL:
            return {}
        counts = log_statistics(self.log)
        return counts

    # --- the end

    def close(self) -> None:
        """Makes everything durable and gives the directory up. May be called again.

        REQUIRES: flush() and prepare() have returned, nobody uses the store any more.

        Raises:
            LogError: something could not be made durable.
        """
        cdef Log* log = self.log
        cdef int64_t now_ms = clock_ms()
        cdef int result = 0
        if log != NULL:
            self.store.keyspace.log = NULL
            self.snapshots.log = NULL
            self.log = NULL
            with nogil:
                result = close_log(log, now_ms)
        if self.directory is not None:
            self.directory.close()
        if result < 0:
            raise LogError(f"the log in {self.path} could not be closed: {os.strerror(-result)}")
