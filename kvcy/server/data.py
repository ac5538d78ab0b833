"""The server's data: its store, and the directory with its snapshots and, with `appendonly yes`, its log."""

from __future__ import annotations

import os
import time

import trio

from kvcy._loading import LoadReport
from kvcy._opening import claim_data, load_data
from kvcy._persistence import Persistence
from kvcy.errors import KvcyError
from kvcy.server.listeners import StartError
from kvcy.server.loading import LoadWatch
from kvcy.server.logs import Log
from kvcy.server.options import Options
from kvcy.server.saving import Saver
from kvcy.server.threads import run_thread

SHARDS_A_PROCESSOR = 16  # locks enough that threads seldom meet, and their lines stay in the nearest cache
SHARDS_MAX = 256
# What a shard costs though it has few keys, 1.5 KiB and a page hardly used for each size, is to be little of its share.
SHARD_BYTES_MIN = 4 << 20
WATCH_EVERY_S = 0.1


def shard_count(maxmemory: int) -> int:
    """How many shards a new store with this limit in bytes (0: none) gets here: a power of two."""
    wanted = min(SHARDS_A_PROCESSOR * (os.cpu_count() or 1), SHARDS_MAX)
    count = 1 << (wanted - 1).bit_length()
    while maxmemory and count > 1 and maxmemory // count < SHARD_BYTES_MIN:
        count //= 2
    return count


class Data:
    """The store, its directory and the snapshots made of it. At first the store is empty: load(), then loaded().

    Args:
        options: `dir` is the directory, `appendonly` says whether changes are logged there.
        log: where loading and failures are told.

    Raises:
        StartError: the directory cannot be used.

    Attributes:
        watch: over the loading.
        keys_loaded: from the snapshot.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._options = options
        self._log = log
        self.saver = Saver(options, log)
        self.watch = LoadWatch(log)
        self.keys_loaded = 0
        try:
            shards = shard_count(options.maxmemory)
            self.store, self.persistence = claim_data(options.dir, shards=shards, logged=options.appendonly)
        except (KvcyError, MemoryError) as error:
            raise StartError(str(error)) from error

    def load(self) -> None:
        """Loads what the directory holds, and opens its log. Meanwhile the store is used to read its counters only.

        Raises:
            LoadStopped: the watch was told to stop it.
            StartError: a file is damaged, or cannot be used.
        """
        began_s = time.monotonic()
        try:
            policy = self._options.appendfsync if self._options.appendonly else None
            report = load_data(self.persistence, policy, self.watch.began)
            self.keys_loaded = report.keys
        except (KvcyError, MemoryError) as error:
            raise StartError(str(error)) from error
        if self.persistence.directory is not None:
            self._tell(report, time.monotonic() - began_s)

    def loaded(self) -> None:
        """What load() has loaded is served from now on."""
        self.saver.persistence = self.persistence
        self.set_policy(self._options.appendfsync)  # it may have been changed meanwhile
        self.watch.over = True

    def _tell(self, report: LoadReport, took_s: float) -> None:
        if report.before:
            self._log.warning(f"A restore to a point has been completed; the files from before are in {report.before}")
        if report.torn:
            self._log.warning(f"The log's last record was cut short by a crash and is left out: {report.torn}")
        if report.snapshot:
            self._log.notice(f"Loaded {report.keys} keys from {report.snapshot}")
        self._log.notice(f"Replayed {report.records} records of the log, ready after {took_s:.3f} seconds")

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the log going and makes snapshots until cancelled; then all is made durable. After load()."""
        persistence = self.persistence
        async with trio.open_nursery() as data_nursery:
            if persistence.logging:
                data_nursery.start_soon(run_thread, persistence.flush, persistence.stop, name="log flusher")
                data_nursery.start_soon(run_thread, persistence.prepare, persistence.stop, name="log preparer")
                data_nursery.start_soon(self._watch_log, persistence, name="watch the log")
            await data_nursery.start(self.saver.run, name="snapshots")
            task_status.started()

    async def _watch_log(self, persistence: Persistence) -> None:
        told = ""
        while True:
            error = persistence.error
            if error != told:
                if error and persistence.broken:
                    self._log.warning(f"The log cannot be written and is closed: {error}. No more writes are taken")
                elif error:
                    self._log.warning(f"The log cannot be written: {error}. Writes are refused until it can")
                else:
                    self._log.notice("The log can be written again, writes are taken")
                told = error
            await trio.sleep(WATCH_EVERY_S)

    def set_policy(self, policy: str) -> None:
        """appendfsync has changed."""
        self.persistence.set_policy(policy)

    def close(self) -> None:
        """Raises LogError when something could not be made durable."""
        self.store.close()
        self.persistence.close()
