"""The server's data: its store and, with `appendonly yes`, the directory that keeps it."""

from __future__ import annotations

import contextlib
import time

import trio

from kvcy._core import Store
from kvcy._loading import LoadReport
from kvcy._opening import open_data
from kvcy._persistence import Persistence
from kvcy.errors import KvcyError
from kvcy.server.listeners import StartError
from kvcy.server.logs import Log
from kvcy.server.options import Options
from kvcy.server.threads import run_thread

SHARDS = 64
WATCH_EVERY_S = 0.1
RULES_EVERY_S = 1.0
RETRY_AFTER_S = 5  # a snapshot that failed, when a rule wants one


class SaveError(Exception):
    """A snapshot could not be made; the text is for the client."""


class Data:
    """The store, its directory and the snapshots made of it.

    Args:
        options: `appendonly` says whether there is a directory: `dir`.
        log: where loading and failures are told.

    Raises:
        StartError: the directory cannot be used, or a file in it is damaged.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._log = log
        self._options = options
        self.persistence: Persistence | None = None
        self.last_save_s = int(time.time())
        self.last_save_took_s = -1
        self.last_save_failed = False
        self.save_began_s = 0.0  # 0: none is under way
        self._changes_at_save = 0
        self._failed_s = 0.0
        self._nursery: trio.Nursery | None = None
        if not options.appendonly:
            self.store = Store(shards=SHARDS)
            return
        began_s = time.monotonic()
        try:
            self.store, self.persistence, report = open_data(options.dir, shards=SHARDS, policy=options.appendfsync)
        except (KvcyError, MemoryError) as error:
            raise StartError(str(error)) from error
        self._tell(report, time.monotonic() - began_s)

    def _tell(self, report: LoadReport, took_s: float) -> None:
        if report.torn:
            self._log.warning(f"The log's last record was cut short by a crash and is removed: {report.torn}")
        if report.snapshot:
            self._log.notice(f"Loaded {report.keys} keys from {report.snapshot}")
        self._log.notice(f"Replayed {report.records} records of the log, ready after {took_s:.3f} seconds")

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the log going until cancelled; then all is made durable."""
        persistence = self.persistence
        async with trio.open_nursery() as self._nursery:
            if persistence is not None:
                self._nursery.start_soon(run_thread, persistence.flush, persistence.stop, name="log flusher")
                self._nursery.start_soon(run_thread, persistence.prepare, persistence.stop, name="log preparer")
                self._nursery.start_soon(self._watch_log, persistence, name="watch the log")
                self._nursery.start_soon(self._save_by_rules, persistence, name="snapshots by rule")
            task_status.started()
            await trio.sleep_forever()

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

    async def _save_by_rules(self, persistence: Persistence) -> None:
        while True:
            await trio.sleep(RULES_EVERY_S)
            if not self.save_began_s and (why := self._rule(persistence)):
                self._log.notice(f"{why}, writing a snapshot")
                with contextlib.suppress(SaveError):  # told in the log and in INFO
                    await self.save()

    def _rule(self, persistence: Persistence) -> str:
        """The rule by which a snapshot is due; "" when none is."""
        now_s = time.time()
        if self.last_save_failed and now_s - self._failed_s < RETRY_AFTER_S:
            return ""
        changes = self.changes_since_save()
        for point in self._options.save:
            if changes >= point.changes and now_s - self.last_save_s >= point.seconds:
                return f"{changes} changes in {point.seconds} seconds"
        log_bytes = persistence.positions()[0] - persistence.snapshot_position
        percentage = self._options.auto_aof_rewrite_percentage
        if percentage and log_bytes >= max(
            self._options.auto_aof_rewrite_min_size, persistence.snapshot_bytes * percentage // 100, 1
        ):
            return f"The log has grown by {log_bytes} bytes since the last snapshot"
        return ""

    def changes_since_save(self) -> int:
        """Changes that the newest snapshot does not have."""
        return self.persistence.changes() - self._changes_at_save if self.persistence else 0

    def set_policy(self, policy: str) -> None:
        """appendfsync has changed."""
        if self.persistence is not None:
            self.persistence.set_policy(policy)

    def close(self) -> None:
        """Raises LogError when something could not be made durable."""
        self.store.close()
        if self.persistence is not None:
            self.persistence.close()

    # --- snapshots

    async def save(self) -> None:
        """Writes a snapshot; others are served meanwhile.

        Raises:
            SaveError: there is no directory, one is being made already, or it could not be written.
        """
        persistence = self._can_save()
        self.save_began_s = time.monotonic()
        changes = persistence.changes()
        try:
            name = await trio.to_thread.run_sync(persistence.save)
        except (KvcyError, MemoryError, OSError) as error:
            self.last_save_failed = True
            self._failed_s = time.time()
            self._log.warning(f"The snapshot failed: {error}")
            raise SaveError(f"the snapshot failed: {error}") from error
        else:
            self.last_save_failed = False
            self.last_save_s = int(time.time())
            self.last_save_took_s = round(time.monotonic() - self.save_began_s)
            self._changes_at_save = changes
            self._log.notice(f"Wrote {name}")
        finally:
            self.save_began_s = 0.0

    def _can_save(self) -> Persistence:
        """What a snapshot may be made with now; SaveError: none may."""
        if self.persistence is None:
            raise SaveError("this server keeps its data in memory only: it was not started with 'appendonly yes'")
        if self.save_began_s:
            raise SaveError("Background save already in progress")
        return self.persistence

    def save_in_background(self) -> None:
        """Begins a snapshot. Raises SaveError as save() does before it begins."""
        self._can_save()
        assert self._nursery is not None

        async def save() -> None:
            with contextlib.suppress(SaveError):  # told in the log and in INFO
                await self.save()

        self._nursery.start_soon(save, name="background save")
