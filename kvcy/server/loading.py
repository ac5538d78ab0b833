"""Loading while the server already listens: how far it is, and its end before its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from kvcy.server.logs import Log
from kvcy.server.threads import call_thread

REPORT_EVERY_S = 1.0


class Loading(Protocol):
    """What loads, as a Loader does."""

    def stop(self) -> None:
        """Lets loading raise LoadStopped soon."""

    def progress(self) -> tuple[int, int]:
        """Bytes that were loaded, and bytes there are to load, as far as is known."""


@dataclass(frozen=True)
class Progress:
    """How far loading is.

    Attributes:
        began_s: Unix time.
        loaded_bytes: of the files.
        total_bytes: of the files that have been looked at: a log's part is known when the snapshot has been loaded.
        left_s: how long it will take at the same speed; 1 when that cannot be said yet.
    """

    began_s: int
    loaded_bytes: int
    total_bytes: int
    left_s: int

    @property
    def percentage(self) -> float:
        return 100 * self.loaded_bytes / self.total_bytes if self.total_bytes else 0.0


class LoadWatch:
    """Watches over one loading.

    Args:
        log: where it tells how far loading is, about every second.
        every_s: how often; other than a second in tests only.

    Attributes:
        stopped: stop() was called.
        over: the data are served; whoever serves them sets it.
    """

    def __init__(self, log: Log, every_s: float = REPORT_EVERY_S) -> None:
        self.stopped = False
        self.over = False
        self._log = log
        self._every_s = every_s
        self._loading: Loading | None = None
        self._doing = ""
        self._began_s = int(time.time())
        self._began_monotonic_s = time.monotonic()

    def began(self, loading: Loading, doing: str = "Loading") -> None:
        """To be called in the loading thread, just before it loads, or does what `doing` says."""
        self._began_s = int(time.time())
        self._began_monotonic_s = time.monotonic()
        self._doing = doing
        self._loading = loading
        if self.stopped:
            loading.stop()

    def stop(self) -> None:
        """Ends the loading soon, also one that has not begun."""
        self.stopped = True
        if self._loading is not None:
            self._loading.stop()

    def progress(self) -> Progress:
        """While it loads, or before."""
        done, total = self._loading.progress() if self._loading is not None else (0, 0)
        took_s = time.monotonic() - self._began_monotonic_s
        left_s = max(round(took_s * (total - done) / done), 1) if 0 < done <= total else 1
        return Progress(self._began_s, done, total, left_s)

    async def run(self, load: Callable[[], None]) -> None:
        """Calls `load` in a thread. A cancellation stops it, and waits until it has ended.

        Raises:
            Exception: what `load` raised.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as watch_nursery:
            watch_nursery.start_soon(self._tell, name="progress of loading")
            try:
                await call_thread(load, self.stop)
            except Exception as error:
                failure = error
            watch_nursery.cancel_scope.cancel()
        self._loading = None
        if failure is not None:
            raise failure

    async def _tell(self) -> None:
        while True:
            await trio.sleep(self._every_s)
            if 0 < (now := self.progress()).loaded_bytes < now.total_bytes:
                self._log.notice(
                    f"{self._doing}: {now.percentage:.0f} % of {now.total_bytes} bytes, "
                    f"about {now.left_s} seconds left"
                )
