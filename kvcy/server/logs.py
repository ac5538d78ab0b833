"""The log: one line an event, with process id, time, level and text, to standard error or a file.

    4711 2026-03-01 12:00:00.123 # these options have no effect in this version: replica-priority
The sign before the text is the level: . debug, - verbose, * notice, # warning. Written from the trio thread only; a
line is one write, and a line that cannot be written is dropped.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

LEVELS = {"debug": 0, "verbose": 1, "notice": 2, "warning": 3, "nothing": 4}
SIGNS = ".-*#"


class Log:
    """Where log lines go. `path` "" is standard error. Raises OSError when the file cannot be opened."""

    def __init__(self, path: str = "", level: str = "notice", clock: Callable[[], float] = time.time) -> None:
        self.level = LEVELS[level]
        self._clock = clock
        self._pid = os.getpid()
        self._owned = bool(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644) if path else 2

    def set_level(self, level: str) -> None:
        self.level = LEVELS[level]

    def debug(self, text: str) -> None:
        self._write(0, text)

    def verbose(self, text: str) -> None:
        self._write(1, text)

    def notice(self, text: str) -> None:
        self._write(2, text)

    def warning(self, text: str) -> None:
        self._write(3, text)

    def _write(self, level: int, text: str) -> None:
        if level < self.level:
            return
        now = self._clock()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        text = "".join(char if char.isprintable() else " " for char in text)
        line = f"{self._pid} {stamp}.{int(now * 1000) % 1000:03d} {SIGNS[level]} {text}\n"
        with contextlib.suppress(OSError):
            os.write(self._fd, line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        if self._owned:
            self._owned = False
            os.close(self._fd)
            self._fd = sys.__stderr__.fileno() if sys.__stderr__ else 2
