"""Progress bars for long work: on standard error when that is a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from kvcy._loading import Loader, LoadReport

_T = TypeVar("_T")
_Done = TypeVar("_Done")
LOOK_EVERY_S = 0.1


class Reach(Protocol):
    """What a bar yields."""

    def __call__(self, done: int, total: int | None = None, /) -> None:
        """Shows that so much is done; `total`: how much there is to do, if that has become known."""


@contextmanager
def bar(total: int | None, what: str, unit: str = "B") -> Iterator[Reach]:
    """A bar that ends with the block; what it yields takes how much is done so far.

    Args:
        total: how much there is to do, None when that is not known.
        what: a few words before the bar.
        unit: of `total`, as it is shown.
    """
    look = {"unit_scale": True, "leave": False, "disable": None, "dynamic_ncols": True}
    with tqdm(total=total, desc=what, unit=unit, **look) as shown:

        def reach(done: int, total: int | None = None, /) -> None:
            if total is not None:
                shown.total = total
            shown.update(done - shown.n)

        yield reach


def run_aside(
    work: Callable[[], _T], done: Callable[[], _Done], stop: Callable[[], Any], reach: Callable[[_Done], None]
) -> _T:
    """Runs `work`, which keeps no hold of the GIL, in a thread, and shows how much is `done`.

    An exception here, Ctrl-C for one, calls `stop`, upon which `work` must return soon.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            while not wait([future], LOOK_EVERY_S).done:
                reach(done())
        except BaseException:
            stop()
            raise
        reach(done())
        return future.result()


def load_shown(load: Callable[[Callable[[Loader], None]], LoadReport]) -> LoadReport:
    """Calls load(began) in a thread, which calls began() with what loads before it does, and shows how far that is."""
    begun: list[Loader] = []

    def stop() -> None:
        for loader in begun:
            loader.stop()

    with bar(None, "loading") as reach:
        return run_aside(
            lambda: load(begun.append),
            lambda: begun[0].progress() if begun else (0, 0),
            stop,
            lambda progress: reach(*progress),
        )
