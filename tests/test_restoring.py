"""Restoring to a point, and how much history there is for it (`--recover-to`, `wal-keep`)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import kvcy_server
import pytest
from data_directories import HEADER, SEGMENT_BYTES, content, files, fill, flip, opened
from data_directories import run as run_tool
from kvcy_server import Client, Server

from kvcy import _inspection, _restoring
from kvcy._facts import LogFacts
from kvcy._loading import Loader, LoadStopped
from kvcy._restoring import NotReachable, Point, Search, restore
from kvcy.cli import serving
from kvcy.engine.directory import Directory, segment_name
from kvcy.errors import DamagedError, DirectoryError
from kvcy.server.loading import LoadWatch
from kvcy.server.logs import Log

KEEP = ("--wal-keep", "1gb")


def running(directory: Path, *options: str) -> AbstractContextManager[Server]:
    return kvcy_server.running("--dir", str(directory), *options)


def logged(directory: Path, *options: str) -> AbstractContextManager[Server]:
    return running(directory, "--appendonly", "yes", "--appendfsync", "always", *options)


def refused(directory: Path, point: str) -> str:
    """The one line of a server that does not start with --recover-to."""
    command = [sys.executable, "-m", "kvcy", "--port", str(kvcy_server.free_port()), "--dir", str(directory)]
    ended = subprocess.run(
        [*command, "--recover-to", point], capture_output=True, text=True, timeout=kvcy_server.TIMEOUT_S, check=False
    )
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if line.startswith("kvcy-server: ")]
    assert len(lines) == 1
    return lines[0]


def position(client: Client) -> int:
    found = re.search(rb"^wal_position:(\d+)\r$", client.run("INFO", "everything"), re.MULTILINE)
    assert found
    return int(found[1])


def now_ms(client: Client) -> int:
    """The server's clock; it stands at least 20 ms later when this returns."""
    first = clock_ms(client)
    while clock_ms(client) < first + 20:
        time.sleep(0.001)
    return first


def clock_ms(client: Client) -> int:
    seconds, micros = re.findall(rb"\$\d+\r\n(\d+)\r\n", client.run("TIME"))
    return int(seconds) * 1000 + int(micros) // 1000


def values(client: Client, *keys: str) -> list[str | None]:
    found = re.findall(rb"\$(-1|\d+\r\n[^\r]*)\r\n", client.run("MGET", *keys))
    return [None if one == b"-1" else one.split(b"\n")[1].decode() for one in found]


def kill(server: Server) -> None:
    server.process.kill()
    server.wait()


def before(directory: Path) -> Path:
    (found,) = directory.glob("before-*")
    return found


def copy(directory: Path, name: str) -> Path:
    """A copy of the directory to try a restore on."""
    other = directory.parent / name
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(directory, other)
    return other


def restored(directory: Path, point: str) -> dict[bytes, bytes]:
    """What a copy of the directory holds after a restore."""
    other = copy(directory, "restored")
    restore(str(other), Point.parse(point), lambda line: None)
    return content(other)


def now(store_of: Path) -> int:
    """Where the log ends."""
    with opened(store_of) as (_, persistence):
        return persistence.positions()[0]


# --- with the true server

def test_to_a_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with logged(data) as server, server.connect() as client:
        client.run("SET", "a", "1")
        then = position(client)
        client.run("SET", "a", "2")
        client.run("SET", "b", "2")
        end = position(client)
        kill(server)
    old = files(data)
    with logged(data, "--recover-to", str(then)) as server, server.connect() as client:
        assert any(f"Restored to position {then}" in line for line in server.log)
        assert values(client, "a", "b") == ["1", None]
        assert position(client) > end
        client.run("SET", "c", "3")
        kill(server)
    assert files(before(data)) == old
    with logged(data) as server, server.connect() as client:
        assert values(client, "a", "b", "c") == ["1", None, "3"]
        assert client.run("SAVE") == b"+OK\r\n"
        client.run("SET", "d", "4")
    assert run_tool(capsys, "check", data)[0] == 0
    for point in (then, end, 0):
        line = refused(data, str(point))
        assert f"cannot be restored to {point}: the history that is kept reaches from position" in line
    with logged(data) as server, server.connect() as client:
        assert values(client, "a", "b", "c", "d") == ["1", None, "3", "4"]
    with logged(before(data)) as server, server.connect() as client:
        assert values(client, "a", "b", "c") == ["2", "2", None]


def test_to_a_time(tmp_path: Path) -> None:
    with logged(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        first = now_ms(client)
        client.run("SET", "a", "2")
        second = now_ms(client)
        client.run("SET", "a", "3")
    iso = datetime.fromtimestamp(second / 1000, timezone.utc).isoformat(timespec="milliseconds")
    for point, value in ((iso, "2"), (f"@{first // 1000}.{first % 1000:03}", "1")):
        other = copy(tmp_path, tmp_path.name + "-copy")
        with logged(other, "--recover-to", point) as server, server.connect() as client:
            assert values(client, "a") == [value]


def test_a_point_that_cannot_be_reached(tmp_path: Path) -> None:
    assert "holds no data" in refused(tmp_path, "0")
    with logged(tmp_path):
        pass
    assert refused(tmp_path, "5").endswith("cannot be restored to 5: nothing has been changed there yet")
    with logged(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        end = position(client)
    held = files(tmp_path)
    for point in (str(end + 1), "1" * 30, "2001-01-01T00:00:00Z", "@1000000000", "2999-01-01"):
        line = refused(tmp_path, point)
        assert f"cannot be restored to {point}: the history that is kept reaches from position 0, 20" in line
        assert f" to position {end}, last changed 20" in line
    assert "neither a position of the log (digits), nor a time" in refused(tmp_path, "yesterday")
    assert files(tmp_path) == held


def test_it_is_no_option(tmp_path: Path) -> None:
    (tmp_path / "kvcy.conf").write_text("recover-to 8\n")
    command = [sys.executable, "-m", "kvcy", str(tmp_path / "kvcy.conf")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=kvcy_server.TIMEOUT_S, check=False)
    assert ended.returncode == 1 and "unknown option 'recover-to'" in ended.stderr
    with running(tmp_path) as server:
        assert server.run("CONFIG", "SET", "recover-to", "8").startswith(b"-ERR Unknown option")


def test_wal_keep_of_a_server(tmp_path: Path) -> None:
    with logged(tmp_path, *KEEP) as server, server.connect() as client:
        points = []
        for number in range(3):
            client.run("SET", "n", str(number))
            points.append(position(client))
            assert client.run("SAVE") == b"+OK\r\n"
        assert len([*tmp_path.glob("snapshot-*")]) == 3
        kill(server)
    assert [restored_value(tmp_path, point) for point in points] == ["0", "1", "2"]
    with logged(tmp_path, *KEEP) as server, server.connect() as client:
        client.run("SET", "n", "3")
        assert client.run("CONFIG", "SET", "wal-keep", "0") == b"+OK\r\n"
        assert client.run("BGREWRITEAOF").startswith(b"+")
        while len([*tmp_path.glob("snapshot-*")]) > 1:
            time.sleep(0.01)
        assert client.run("CONFIG", "GET", "wal-keep") == b"*2\r\n$8\r\nwal-keep\r\n$1\r\n0\r\n"


def restored_value(directory: Path, point: int) -> str | None:
    other = copy(directory, directory.name + "-copy")
    with running(other, "--recover-to", str(point)) as server, server.connect() as client:
        return values(client, "n")[0]


def test_what_only_a_snapshot_has_is_never_missed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with logged(data, *KEEP) as server, server.connect() as client:
        client.run("SET", "a", "1")
        client.run("SAVE")
        early = position(client)
        client.run("SET", "a", "2")
        logged_end = position(client)
        between_ms = now_ms(client)
    with running(data, "--appendonly", "no", *KEEP) as server, server.connect() as client:
        client.run("SET", "b", "unlogged")
        client.run("SAVE")
        later_ms = now_ms(client)
    with logged(data, *KEEP) as server, server.connect() as client:
        client.run("SET", "c", "3")
        late = position(client)
        client.run("SAVE")
        client.run("SET", "d", "4")
    for point, held in (
        (str(early), {b"a": b"1"}),
        (str(logged_end), {b"a": b"2", b"b": b"unlogged"}),
        (f"@{later_ms // 1000}.{later_ms % 1000:03}", {b"a": b"2", b"b": b"unlogged"}),
        (str(late), {b"a": b"2", b"b": b"unlogged", b"c": b"3"}),
    ):
        assert restored(data, point) == held, point
    with pytest.raises(NotReachable, match="changes that no log has"):
        restored(data, f"@{between_ms // 1000}.{between_ms % 1000:03}")
    with pytest.raises(NotReachable, match="reaches from position"):
        restored(data, "0")
    with logged(data) as server, server.connect() as client:  # the segment with all of it stays, its beginning too
        client.run("SAVE")
    assert [*data.glob("log-*0")]
    for point in (str(early), str(logged_end), str(late)):
        with pytest.raises(NotReachable, match="reaches from position"):
            restored(data, point)


# --- with the engine alone, and small segments

def test_a_record_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "data"
    fill(path, 0, 3)
    begin = now(path)
    with opened(path) as (store, persistence):
        store.execute("MSET", "x", "1" * 50, "y", "2" * 50)
        end, _ = persistence.positions()
    held = content(path)
    then = {key: value for key, value in held.items() if key.startswith(b"key:")}
    for point in range(begin, end, 8):
        assert restored(path, str(point)) == then
    assert restored(path, str(end - 1)) == then
    assert restored(path, str(end)) == held != then
    assert restored(path, "0") == {}
    with pytest.raises(NotReachable):
        restored(path, str(now(path) + 1))


def test_what_wal_keep_keeps_can_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "data"
    points: list[tuple[int, dict[bytes, bytes]]] = []
    keep = 2 * SEGMENT_BYTES
    for turn in range(8):
        fill(path, turn, turn + 40, b"%d" % turn * 100)
        points.append((now(path), content(path)))
        with opened(path) as (_, persistence):
            persistence.snapshots.keep_bytes = keep
            persistence.save()
            newest = persistence.snapshots.position
        with Directory(path) as directory:
            kept, segments = directory.snapshots(), directory.segments()
        assert kept[-1] == newest
        if kept[0] > newest - keep:  # nothing older has ever been removed
            assert len(kept) == turn + 1 and segments[0] == 0
        else:
            assert len(kept) == 1 or kept[1] > newest - keep
            assert segments[0] == kept[0] // SEGMENT_BYTES
    assert 1 < len(kept) < 8
    for point, held in points:
        if point >= kept[0]:
            assert restored(path, str(point)) == held
        else:
            with pytest.raises(NotReachable, match=f"from position {kept[0]}, 20.* to position {points[-1][0]}, last"):
                restored(path, str(point))
    with opened(path) as (_, persistence):
        persistence.save()
    with Directory(path) as directory:
        assert directory.snapshots() == [newest]


def large(path: Path) -> tuple[int, int]:
    """Makes a directory with two snapshots and a log of some megabytes behind them: where that begins and ends."""
    with opened(path, 1 << 20) as (store, persistence):
        persistence.snapshots.keep_bytes = 1 << 30
        for _ in range(2):
            store.execute("INCR", "n")
            persistence.save()
        begin = persistence.positions()[0]
        for number in range(10):
            store[b"key"] = b"%d" % number * (1 << 20)
        return begin, persistence.positions()[0]


def test_a_search_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data"
    begin, end = large(path)
    heard: list[tuple[str, Search | Loader]] = []
    restore(str(path), Point.parse(str(end)), lambda line: None, lambda what, doing: heard.append((doing, what)))
    assert [doing for doing, _ in heard] == ["Looking at the snapshots", "Looking for the point in the log", "Loading"]
    done, total = heard[0][1].progress()
    assert 0 < done < total
    done, total = heard[1][1].progress()
    assert end - begin == total and 8 << 20 <= done < total


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_restore_that_is_stopped_has_done_nothing(tmp_path: Path, number: int) -> None:
    """As it looks at the snapshots, looks for the point, or loads."""
    path = tmp_path / "data"
    _, end = large(path)
    held = files(path)
    begun = 0

    def began(what: Search | Loader, _: str) -> None:
        nonlocal begun
        begun += 1
        if begun > number:
            what.stop()

    with pytest.raises(LoadStopped):
        restore(str(path), Point.parse(str(end)), lambda line: None, began)
    assert begun == number + 1 and files(path) == held


def test_a_search_is_told_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--recover-to` lets it; the log is read on when the line is there."""
    path, told = tmp_path / "data", tmp_path / "told"
    _, end = large(path)
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S

    def read_log(*arguments: Any) -> LogFacts:
        *where, reach = arguments

        def reach_and_wait(done: int, total: int) -> None:
            reach(done, total)
            while b"Looking for the point in the log: " not in told.read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.001)

        return _inspection.read_log(*where, reach_and_wait)

    monkeypatch.setattr(_restoring, "read_log", read_log)
    monkeypatch.setattr(serving, "LoadWatch", partial(LoadWatch, every_s=0.01))
    serving.recover(str(path), Point.parse(str(end)), Log(str(told)))
    lines = [line for line in told.read_text().splitlines() if "Loading: " not in line]    # a slow one is told, too
    assert f"Restoring {path} to {end}" in lines[0]
    assert re.search(r"Looking for the point in the log: \d+ % of \d+ bytes, about \d+ seconds left", lines[1])
    assert f"Loaded what there was at position {end}; it is written as a snapshot now" in lines[-2]
    assert f"Restored to position {end}" in lines[-1]


def test_damage_matters_only_before_the_point(tmp_path: Path) -> None:
    path = tmp_path / "data"
    fill(path, 0, 5)
    then, held = now(path), content(path)
    fill(path, 5, 20)
    end = now(path)
    flip(path / segment_name(0), HEADER + then + 100)
    assert restored(path, str(then)) == held
    with pytest.raises(DamagedError, match=f"the log is damaged before {end}"):
        restored(path, str(end))


def test_a_damaged_snapshot_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "data"
    points = []
    for turn in range(2):
        fill(path, turn, turn + 3)
        with opened(path) as (_, persistence):
            persistence.snapshots.keep_bytes = 1 << 30
            name = persistence.save()
        points.append(content(path))
    first, second = (int(one.name[9:], 16) for one in sorted(path.glob("snapshot-*")))
    flip(path / name, 20)
    assert restored(path, str(first)) == points[0]
    with pytest.raises(DamagedError, match=f"{name}, offset 12"):
        restored(path, str(second))


def test_nothing_is_moved_over_what_was_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "data"
    fill(path, 0, 5)
    end = now(path)
    with Directory(path) as directory:
        manifest = directory.read_manifest()
        assert manifest is not None
    (path / f"before-{manifest.history.hex()}-{end:016x}").mkdir()
    held = files(path)
    with pytest.raises(DirectoryError, match="is there already"):
        restore(str(path), Point.parse(str(end)), lambda line: None)
    assert files(path) == held


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("@1234567890", 1234567890000),
        ("@1234567890.5", 1234567890500),
        ("2009-02-13T23:31:30Z", 1234567890000),
        ("2009-02-14T01:31:30.250+02:00", 1234567890250),
        ("2009-02-13 23:31:30", int(datetime(2009, 2, 13, 23, 31, 30).timestamp()) * 1000),
    ],
)
def test_times_are_read(text: str, time_ms: int) -> None:
    assert Point.parse(text).time_ms == time_ms


@pytest.mark.parametrize("text", ["", "-1", "@", "@1.2345", "1e3", "2009-02-30", "٣", "0x10"])
def test_other_points_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a position"):
        Point.parse(text)
