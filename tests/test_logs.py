"""Log lines and levels."""

import os
from pathlib import Path

import pytest

from kvcy.server.logs import Log


def test_lines_and_levels(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(str(path), "notice", clock=lambda: 1.25)
    log.debug("a")
    log.verbose("b")
    log.notice("two\nlines\x1b[0m")
    log.set_level("debug")
    log.debug("d")
    log.set_level("nothing")
    log.warning("e")
    log.close()
    first, second = path.read_text().splitlines()
    assert first.startswith(f"{os.getpid()} ") and first.endswith("01.250 * two lines [0m")
    assert second.endswith(".250 . d")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Log(str(tmp_path / "missing" / "log"))


def test_a_line_that_cannot_be_written_is_dropped() -> None:
    log = Log("/dev/full")
    log.warning("x")
    log.close()
