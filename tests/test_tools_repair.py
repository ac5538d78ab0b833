"""kvcy repair: what it saves, what it keeps aside, and that being stopped anywhere does no harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from data_directories import HEADER, SEGMENT_BYTES, content, files, fill, flip, run, save, take_back_conclusion

from kvcy.cli.tools import main
from kvcy.engine.directory import segment_name
from kvcy.tools import repair as module

KEYS = 200


def expected(count: int) -> dict[bytes, bytes]:
    return {b"key:%d" % number: b"v" * 100 + b"%d" % number for number in range(count)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A log of several segments."""
    fill(tmp_path / "data", 0, KEYS)
    return tmp_path / "data"


def aside(data: Path) -> Path:
    (one,) = data.glob("cut-*")
    return one


def test_the_log_is_cut_and_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(data / segment_name(1), HEADER + 2000)
    before = files(data)
    status, text = run(capsys, "repair", data)
    assert status == 2
    assert "this would be done" in text
    assert "nothing was changed" in text
    assert files(data) == before

    status, text = run(capsys, "repair", "--yes", data)
    assert status == 0
    assert "repaired: a server starts" in text
    kept = {path.name: path.read_bytes() for path in aside(data).iterdir()}
    assert kept == {name: held for name, held in before.items() if name.startswith("log-") and name > segment_name(0)}
    assert run(capsys, "check", data)[0] == 0
    left = content(data)
    assert SEGMENT_BYTES // 160 < len(left) < KEYS
    assert left == expected(len(left))

    fill(data, 500, 600)
    assert len(content(data)) == len(left) + 100


def test_moving_the_files_back_undoes_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(data / segment_name(0), HEADER + 500)
    before = files(data)
    assert run(capsys, "repair", "--yes", data)[0] == 0
    assert files(data) != before
    cut = aside(data)
    for path in cut.iterdir():
        path.replace(data / path.name)
    cut.rmdir()
    assert files(data) == before


def test_nothing_to_repair(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(data)
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 0
    assert "nothing to repair: the directory is whole" in text
    assert files(data) == before


def test_a_torn_tail_is_left_to_the_server(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take_back_conclusion(data)
    last = max(path for path in data.glob("log-*") if path.read_bytes()[HEADER:].strip(b"\0"))
    flip(last, last.read_bytes().rindex(b"key:"))
    before = files(data)
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 0
    assert "torn tail" in text
    assert files(data) == before


def test_a_wrong_header_costs_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (0, 1, 2):
        flip(data / segment_name(number), 17 + number)
    flip(data / segment_name(1), 1000)
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 0
    assert text.count("write the header of ") == 3
    assert content(data) == expected(KEYS)


def test_a_foreign_segment_is_cut(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "other", 0, KEYS)
    shutil.copyfile(tmp_path / "other" / segment_name(1), data / segment_name(1))
    assert run(capsys, "repair", "--yes", data)[0] == 0
    left = content(data)
    assert left == expected(len(left))
    assert 0 < len(left) < KEYS


def test_a_missing_segment(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / segment_name(1)).unlink()
    assert run(capsys, "repair", "--yes", data)[0] == 0
    left = content(data)
    assert left == expected(len(left))
    assert 0 < len(left) < KEYS


def test_a_segment_of_a_newer_kvcy_is_not_touched(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(data / segment_name(1), 8)
    before = files(data)
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 2
    assert "newer kvcy" in text
    assert files(data) == before


# --- snapshots

def damage(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


def test_the_log_from_0_takes_a_snapshot_s_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 20)
    name = save(data)
    fill(data, 20, 40)
    damage(data / name)
    held = (data / name).read_bytes()
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 0
    assert f"move {name} to {data}/cut-" in text
    assert (aside(data) / name).read_bytes() == held
    assert content(data) == expected(40)


def test_an_older_snapshot_takes_a_newer_one_s_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 20)
    older = save(data)
    shutil.copyfile(data / older, tmp_path / older)
    fill(data, 20, 30)
    newer = save(data)
    fill(data, 30, 40)
    shutil.copyfile(tmp_path / older, data / older)
    damage(data / newer)
    assert run(capsys, "repair", "--yes", data)[0] == 0
    assert content(data) == expected(40)
    assert [path.name for path in aside(data).iterdir()] == [newer]


def test_nothing_to_go_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, KEYS)
    damage(data / save(data))
    assert not (data / segment_name(0)).exists()
    before = files(data)
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 2
    assert "cannot be repaired" in text
    assert "Restore it from a copy" in text
    assert files(data) == before


def test_a_log_cut_below_its_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The snapshot's own segment is gone: the snapshot is whole and all of the log that it needs is at its position."""
    data = tmp_path / "data"
    fill(data, 0, KEYS)
    save(data)
    for path in data.glob("log-*"):
        path.unlink()
    assert run(capsys, "repair", "--yes", data)[0] == 0
    assert content(data) == expected(KEYS)
    fill(data, KEYS, KEYS + 10)
    assert content(data) == expected(KEYS + 10)


def test_a_manifest_cannot_be_repaired(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "kvcy.manifest").unlink()
    status, text = run(capsys, "repair", "--yes", data)
    assert status == 2
    assert "kvcy.manifest is missing" in text


# --- being stopped

class Stopped(BaseException):
    """The process ends here."""


@contextmanager
def stops(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """Lets a repair in this block end before its call number `after` that changes something."""
    calls = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            if calls == after:
                raise Stopped
            calls += 1
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("mkdir", "rename", "fsync"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(module, "erase_segment", counted(module.erase_segment))
        yield


def test_being_stopped_anywhere_loses_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(data / segment_name(1), HEADER + 2000)
    damaged = files(data)
    wanted = None
    for after in range(100):  # the calls of a repair are fewer
        copy = tmp_path / f"copy-{after}"
        shutil.copytree(data, copy)
        finished = False
        with stops(monkeypatch, after), suppress(Stopped):
            finished = main(["repair", "--yes", str(copy)]) == 0
        kept = [path.read_bytes() for path in copy.rglob("log-*") if not path.name.endswith(".new")]
        assert all(held in kept for name, held in damaged.items() if name.startswith("log-")), after
        assert run(capsys, "repair", "--yes", copy)[0] == 0
        left = content(copy)
        wanted = wanted or left
        assert left == wanted
        shutil.rmtree(copy)
        if finished:
            assert after > 5
            return
    raise AssertionError("the repair never finished")

