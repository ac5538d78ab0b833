"""Progress bars for long work: on standard error when that is a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

_T = TypeVar("_T")
LOOK_EVERY_S = 0.1


@contextmanager
def bar(total: int | None, what: str, unit: str = "B") -> Iterator[Callable[[int], None]]:
    """A bar that ends with the block; what it yields takes how much is done so far.

    Args:
        total: how much there is to do, None when that is not known.
        what: a few words before the bar.
        unit: of `total`, as it is shown.
    """
    look = {"unit_scale": True, "leave": False, "disable": None, "dynamic_ncols": True}
    with tqdm(total=total, desc=what, unit=unit, **look) as shown:

        def reach(done: int) -> None:
            shown.update(done - shown.n)

        yield reach


def run_aside(
    work: Callable[[], _T], done: Callable[[], int], stop: Callable[[], Any], reach: Callable[[int], None]
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
