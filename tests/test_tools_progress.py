"""Progress bars of the tools."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import cast

import pytest

from kvcy._loading import Loader, LoadReport
from kvcy.tools.progress import load_shown

TIMEOUT_S = 60


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Slow:
    """What loads until it has been looked at, or is stopped."""

    def __init__(self) -> None:
        self.looked = threading.Event()
        self.stopped = False

    def load(self, began: Callable[[Loader], None]) -> LoadReport:
        began(cast(Loader, self))
        assert self.looked.wait(TIMEOUT_S)
        return LoadReport(keys=7)

    def progress(self) -> tuple[int, int]:
        self.looked.set()
        return 3000, 8000

    def stop(self) -> None:
        self.stopped = True
        self.looked.set()


def test_a_terminal_sees_how_far_loading_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert load_shown(Slow().load).keys == 7
    assert "loading" in terminal.getvalue() and "/8.00k" in terminal.getvalue()


def test_what_interrupts_the_bar_ends_the_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> tuple[int, int]:
        raise KeyboardInterrupt

    slow = Slow()
    monkeypatch.setattr(slow, "progress", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_shown(slow.load)
    assert slow.stopped
