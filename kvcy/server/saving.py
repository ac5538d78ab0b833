"""When snapshots are made, and what became of them: SAVE, BGSAVE, the rules, and the server's end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

import trio

from kvcy._persistence import Persistence
from kvcy._saving import ForkedSnapshot, Snapshots, can_fork
from kvcy.errors import KvcyError, SaveStopped
from kvcy.server.logs import Log
from kvcy.server.options import Options
from kvcy.server.threads import call_thread

RULES_EVERY_S = 1.0
RETRY_AFTER_S = 5  # a snapshot that failed, when a rule wants one


class SaveError(Exception):
    """A snapshot could not be made; the text is for the client."""


class Saver:
    """Makes a store's snapshots, one at a time. Those that take the place of the log, as BGREWRITEAOF's, are told
    apart: clients of Redis expect that one of them and one of BGSAVE can be asked for at a time.

    Args:
        options: `dir`, `save`, snapshot-method and auto-aof-rewrite-... are looked at when they are needed.
        log: where it tells what it does.

    Attributes:
        judged: called when it is known whether the last one succeeded.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._options = options
        self._log = log
        self.persistence: Persistence | None = None  # None: the data has not been loaded yet
        self.judged: Callable[[], None] = lambda: None
        self.last_save_s = int(time.time())  # by the clock on the wall, for clients; no rule looks at it
        self.last_save_took_s = -1
        self.last_save_failed = False
        self._owed = False  # the last that was to be more than the log's replacement failed, and none since was made
        self.save_began_s = 0.0  # 0: none is under way
        self.rewriting = False  # the one under way takes the log's place
        self.scheduled: bool | None = None  # another is to follow: whether that takes the log's place
        self.saves = 0
        self.rewrites = 0  # of these, such as took the log's place
        self.forks = 0
        self.fork_us = 0  # how long the last fork kept changes waiting
        self.cow_bytes = 0  # what the last child had for itself
        self.child: ForkedSnapshot | None = None  # that writes the snapshot under way
        self.ending = False  # a shutdown has begun
        self._changes_at_save = 0
        self._saved_monotonic_s = time.monotonic()
        self._failed_monotonic_s = 0.0
        self._save_at_end = False
        self._scope = trio.CancelScope()  # of the save that is under way
        self._over = trio.Event()
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Saves in the background and by the rules until it is cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while True:
                await trio.sleep(RULES_EVERY_S)
                if self.save_began_s or self.persistence is None:
                    continue
                if self.last_save_failed and time.monotonic() - self._failed_monotonic_s < RETRY_AFTER_S:
                    continue
                rule, growth = self._rule(self.persistence), self._growth(self.persistence)
                if rule or growth:
                    self._log.notice(f"{rule or growth}, writing a snapshot")
                    with contextlib.suppress(SaveError):  # told in the log and in INFO
                        await self.save(background=True, rewrite=not rule)

    def _rule(self, persistence: Persistence) -> str:
        """The rule of `save` by which a snapshot is due; "" when none is."""
        changes = self.changes_since_save()
        for point in self._options.save:
            if changes >= point.changes and time.monotonic() - self._saved_monotonic_s >= point.seconds:
                return f"{changes} changes in {point.seconds} seconds"
        return ""

    def _growth(self, persistence: Persistence) -> str:
        """By how much the log has grown, if that is so much that a snapshot is due; "" otherwise."""
        if not persistence.logging:
            return ""
        snapshots = persistence.snapshots
        log_bytes = persistence.positions()[0] - snapshots.position
        percentage = self._options.auto_aof_rewrite_percentage
        if percentage and log_bytes >= max(
            self._options.auto_aof_rewrite_min_size, snapshots.bytes * percentage // 100, 1
        ):
            return f"The log has grown by {log_bytes} bytes since the last snapshot"
        return ""

    def changes_since_save(self) -> int:
        """Changes that the newest snapshot does not have."""
        return self.persistence.changes() - self._changes_at_save if self.persistence else 0

    # --- making one

    @property
    def stops_writes(self) -> bool:
        """Whether nobody is to change anything that no snapshot would have, as stop-writes-on-bgsave-error wants it."""
        return self._owed and bool(self._options.save) and self._options.stop_writes_on_bgsave_error

    async def save(self, *, background: bool = False, rewrite: bool = False) -> None:
        """Writes a snapshot.

        Args:
            background: others are served meanwhile. False: without a log, their changes wait.
            rewrite: it takes the log's place.

        Raises:
            SaveError: one is being made already, or it could not be written.
        """
        persistence = self._can_save()
        self.save_began_s = time.monotonic()
        self.rewriting = rewrite
        self._over = trio.Event()
        changes = persistence.changes()
        try:
            with trio.CancelScope() as self._scope:
                name = await self._write(persistence, background)
            if self._scope.cancelled_caught:
                raise SaveStopped("the snapshot was given up")
        except SaveStopped as error:
            raise SaveError(str(error)) from error
        except (KvcyError, MemoryError, OSError) as error:
            self.last_save_failed = True
            self._owed = self._owed or not rewrite
            self._failed_monotonic_s = time.monotonic()
            self._log.warning(f"The snapshot failed: {error}")
            raise SaveError(f"the snapshot failed: {error}") from error
        else:
            self.last_save_failed = self._owed = False
            self.last_save_s = int(time.time())
            self._saved_monotonic_s = time.monotonic()
            self.last_save_took_s = round(time.monotonic() - self.save_began_s)
            self.saves += 1
            self.rewrites += rewrite
            self._changes_at_save = changes
            self._log.notice(f"Wrote {name}")
        finally:
            self.save_began_s = 0.0
            self._over.set()
            self.judged()
            self._begin_scheduled()

    async def _write(self, persistence: Persistence, background: bool) -> str:
        snapshots = persistence.snapshots
        snapshots.keep_bytes = self._options.wal_keep
        await trio.to_thread.run_sync(snapshots.claim, self._options.dir)
        method = self._options.snapshot_method
        if background and can_fork and (method == "fork" or (method == "auto" and not persistence.logging)):
            return await self._write_by_child(snapshots)
        snapshots.prepare()
        return await call_thread(partial(snapshots.save, gives_way=background), snapshots.stop)

    async def _write_by_child(self, snapshots: Snapshots) -> str:
        self.child = child = snapshots.fork()
        ended = False
        try:
            self.forks += 1
            self.fork_us = child.pause_us
            self._log.notice(f"Background saving started by pid {child.pid}")
            while not (ended := child.read()):
                await trio.lowlevel.wait_readable(child.pipe)
            name = await trio.to_thread.run_sync(child.take)
            self.cow_bytes = child.cow_bytes
            return name
        finally:
            child.kill()
            with trio.CancelScope(shield=True):
                while not (ended or child.read()):  # giving back what it had takes it some time
                    await trio.lowlevel.wait_readable(child.pipe)
            child.close()
            self.child = None

    def _can_save(self) -> Persistence:
        """What a snapshot may be made with now; SaveError: none may."""
        if self.persistence is None:
            raise SaveError("the data is not loaded yet")
        if self.save_began_s:
            kind = "append only file rewriting" if self.rewriting else "save"
            raise SaveError(f"Background {kind} already in progress")
        return self.persistence

    def save_in_background(self, *, rewrite: bool = False, schedule: bool = False) -> bool:
        """Begins a snapshot; false: it will, when the one under way has ended.

        Args:
            rewrite: it takes the log's place.
            schedule: it may follow one that does so. One that does so may follow in any case.

        Raises:
            SaveError: as save() does before it begins.
        """
        if self.save_began_s and rewrite != self.rewriting:
            if not rewrite and not schedule:
                raise SaveError(
                    "Another child process is active (AOF?): can't BGSAVE right now. "
                    "Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."
                )
            self.scheduled = rewrite
            return False
        self._can_save()
        self._start(rewrite)
        return True

    def _start(self, rewrite: bool) -> None:
        async def save() -> None:
            with contextlib.suppress(SaveError):  # told in the log and in INFO
                await self.save(background=True, rewrite=rewrite)

        assert self._nursery is not None
        self._nursery.start_soon(save, name="background save")

    def _begin_scheduled(self) -> None:
        if self.scheduled is not None and not self.ending:
            self._start(self.scheduled)
        self.scheduled = None

    # --- the server's end

    async def save_for_end(self, wanted: bool | None = None) -> None:
        """The server is to end: writes what would be lost, which is nothing before the data have been loaded. To be
        followed by finish() when nobody is served any more.

        Args:
            wanted: True: always; False: never; None: as Redis does, if there are rules, and nothing is logged.

        Raises:
            SaveError: it could not be written. The server should go on.
        """
        self.ending = True
        if self.persistence is None:
            return
        try:
            await self._give_up()
            rules = bool(self._options.save) and not self.persistence.logging
            if wanted or (wanted is None and rules and self.changes_since_save()):
                await self.save()
            self._save_at_end = rules if wanted is None else wanted
        except SaveError:
            self.ending = False
            raise

    async def finish(self) -> None:
        """Writes what was changed since save_for_end(), which nobody saves otherwise. A failure is told in the log."""
        persistence = self.persistence
        if self._save_at_end and persistence and not persistence.logging and self.changes_since_save():
            await self._give_up()
            with contextlib.suppress(SaveError):
                await self.save()

    async def _give_up(self) -> None:
        """Ends the save that is under way, if one is."""
        while self.save_began_s:
            self._scope.cancel()
            await self._over.wait()
