"""The watch over loading: it tells how far it is, and ends it."""

from __future__ import annotations

import threading

import pytest
import trio

from kvcy._loading import LoadStopped
from kvcy.server.loading import LoadWatch
from kvcy.server.logs import Log

TIMEOUT_S = 30


class SlowLoading:
    """Loads until it is stopped, or until somebody has asked `told` times how far it is."""

    def __init__(self, told: int = 1_000_000) -> None:
        self.stopped = False
        self._over = threading.Event()
        self._left = told

    def stop(self) -> None:
        self.stopped = True
        self._over.set()

    def progress(self) -> tuple[int, int]:
        self._left -= 1
        if self._left == 0:
            self._over.set()
        return 250, 1000

    def load(self) -> None:
        assert self._over.wait(TIMEOUT_S)
        if self.stopped:
            raise LoadStopped


def test_progress_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    loading, looking = SlowLoading(told=2), SlowLoading(told=2)
    watch = LoadWatch(Log("", "notice"), every_s=0.01)

    def load() -> None:
        watch.began(loading)
        loading.load()
        watch.began(looking, "Looking")
        looking.load()

    trio.run(watch.run, load)
    told = "".join(capfd.readouterr())
    assert "Loading: 25 % of 1000 bytes, about 1 seconds left" in told
    assert "Looking: 25 % of 1000 bytes, about 1 seconds left" in told


def test_progress_before_anything_is_known() -> None:
    now = LoadWatch(Log("", "notice")).progress()
    assert (now.loaded_bytes, now.total_bytes, now.percentage, now.left_s) == (0, 0, 0.0, 1)


@pytest.mark.parametrize("before", [True, False])
def test_a_cancellation_stops_it(before: bool) -> None:
    """Also one that comes before the directory is open."""
    loading = SlowLoading()
    watch = LoadWatch(Log("", "notice"))

    async def main() -> None:
        reached = trio.Event()

        def load() -> None:
            if not before:
                watch.began(loading)
            trio.from_thread.run_sync(reached.set)
            if before:
                while not watch.stopped:
                    threading.Event().wait(0.001)
                watch.began(loading)
            loading.load()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, load)
            await reached.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert loading.stopped


def test_what_loading_raises_is_raised() -> None:
    def load() -> None:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        trio.run(LoadWatch(Log("", "notice")).run, load)
