"""kvcy dump and kvcy load: there and back in both formats, between servers, and all that must be refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import kvcy_server
import pytest
import redis_server
from data_directories import content, files, fill, flip, opened, run, save, take_back_conclusion
from rdb_files import rdb, saved, text

from kvcy.engine.directory import segment_name
from kvcy.tools import load as module
from kvcy.tools.load import Import, load

FUTURE_MS = 4_000_000_000_000
STRANGE = {
    b"": b"",
    b"tab\there": b"new\nline\r\\",
    bytes(range(256)): bytes(range(255, -1, -1)),
    "größer".encode(): "日本".encode(),
    b"# end 3": b"*3\r\n$3\r\nSET\r\n",
    b"large": b"\x00x" * 400_000,
    b"\\x41": b"\\",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A snapshot, a log behind it, expiries, three databases and strange bytes."""
    path = tmp_path / "data"
    with opened(path, 1 << 20) as (store, persistence):
        for key, value in STRANGE.items():
            store[key] = value
        store.execute("SET", "later", "x", "PXAT", FUTURE_MS)
        persistence.save()
        store.execute("SET", "later", "y", "PXAT", FUTURE_MS + 1)
        store.execute("SET", "gone", "x", "PX", 1)
        store.execute("COPY", "later", "copy", "DB", 3)
        store.execute("COPY", "tab\there", "copy", "DB", 15)
    return path


def dumped(data: Path, form: str, out: Path) -> bytes:
    ended = subprocess.run(
        [sys.executable, "-m", "kvcy.cli.tools", "dump", str(data), "--format", form, "-o", str(out)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""  # no progress bar where there is no terminal
    return out.read_bytes()


def test_a_pipe_and_a_link_stay_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with opened(data, 1 << 20) as (store, _):
        store[b"k"] = b"v"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    end = os.open(tmp_path / "pipe", os.O_RDWR)  # holds what is written before it is read
    try:
        assert run(capsys, "dump", data, "-o", tmp_path / "pipe")[0] == 0
        assert os.read(end, 20).startswith(b"# kvcy lines 1\n")
    finally:
        os.close(end)
    assert run(capsys, "dump", data, "-o", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "file").read_text().startswith("# kvcy lines 1\n")


def same(one: Path, other: Path, tmp_path: Path) -> bool:
    """Whether two directories hold the same keys."""
    found, wanted = (sorted(dumped(path, "lines", tmp_path / "lines").split(b"\n")) for path in (one, other))
    return found == wanted


def test_lines_can_be_read(data: Path, tmp_path: Path) -> None:
    before = files(data)
    lines = dumped(data, "lines", tmp_path / "out").decode("ascii").split("\n")
    assert files(data) == before
    assert lines[0] == "# kvcy lines 1"
    assert lines[-2:] == [f"# end {len(STRANGE) + 3}", ""]
    assert f"0\t{FUTURE_MS + 1}\tlater\ty" in lines
    assert f"3\t{FUTURE_MS + 1}\tcopy\ty" in lines
    assert "0\t-\ttab\\there\tnew\\nline\\r\\\\" in lines
    assert "0\t-\t\t" in lines
    assert "0\t-\t\\\\x41\t\\\\" in lines
    assert "0\t-\tgr\\xc3\\xb6\\xc3\\x9fer\t\\xe6\\x97\\xa5\\xe6\\x9c\\xac" in lines


@pytest.mark.parametrize("form", ["lines", "resp"])
def test_there_and_back(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    dumped(data, form, tmp_path / "out")
    again = tmp_path / "again"
    status, said = run(capsys, "load", again, tmp_path / "out")
    assert status == 0
    assert f"imported {len(STRANGE) + 3} keys" in said
    assert run(capsys, "check", again)[0] == 0
    with opened(again) as (store, _):
        assert {key: store[key] for key in STRANGE} == STRANGE
        assert store.execute("PEXPIRETIME", "later") == FUTURE_MS + 1
        assert len(store) == len(STRANGE) + 1
    assert same(again, data, tmp_path)


def test_redis_takes_the_commands_and_gives_them_back(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = dumped(data, "resp", tmp_path / "out")
    with redis_server.running() as redis:
        path = redis.socket.getpeername()
        ended = subprocess.run(
            ["redis-cli", "-s", path, "--pipe"], input=commands, capture_output=True, timeout=60, check=False
        )
        assert ended.returncode == 0
        assert b"errors: 0" in ended.stdout
        assert redis.run([["PEXPIRETIME", "later"]]) == [b":%d\r\n" % (FUTURE_MS + 1)]
        status, _ = run(capsys, "load", tmp_path / "again", saved(redis))
        assert status == 0
    assert same(tmp_path / "again", data, tmp_path)


def test_a_server_serves_what_redis_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with redis_server.running() as redis:
        redis.run([["SET", f"key:{index}", "v" * (index % 300)] for index in range(5000)])
        redis.run([["SELECT", "9"], ["SET", "n", "12345", "PXAT", str(FUTURE_MS)]])
        assert run(capsys, "load", tmp_path / "data", saved(redis))[0] == 0
    for _ in range(2):
        with kvcy_server.running("--dir", str(tmp_path / "data"), "--appendonly", "yes") as server:
            with server.connect() as client:
                assert client.run("DBSIZE") == b":5000\r\n"
                assert client.run("STRLEN", "key:299") == b":299\r\n"
                client.run("SELECT", "9")
                assert client.run("PEXPIRETIME", "n") == b":%d\r\n" % FUTURE_MS
                assert client.run("INCR", "n").startswith(b":1234")
            assert server.stop() == 0


def test_standard_input_and_output(data: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "kvcy.cli.tools"]
    out = subprocess.run([*program, "dump", str(data)], capture_output=True, timeout=60, check=True)
    subprocess.run([*program, "load", str(tmp_path / "again"), "-"], input=out.stdout, timeout=60, check=True)
    with opened(tmp_path / "again") as (store, _):
        assert store[b"large"] == STRANGE[b"large"]


def test_a_damaged_directory_is_not_dumped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 10)
    flip(data / segment_name(0), 4200)
    (tmp_path / "out").write_bytes(b"the one before")
    status, said = run(capsys, "dump", data, "-o", tmp_path / "out")
    assert status == 2
    assert f"kvcy repair {data}" in said
    assert (tmp_path / "out").read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


# --- into a directory that is there

def test_a_directory_with_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"key:1") + text(b"new")))
    for name in ("log", "snapshot"):
        data = tmp_path / name
        fill(data, 0, 3)
        if name == "snapshot":
            save(data)
        before = files(data)
        status, said = run(capsys, "load", data, dump)
        assert status == 3
        assert "--merge" in said
        assert files(data) == before


def test_merging(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 100)
    save(data)
    fill(data, 100, 150)
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"key:1") + text(b"new") + b"\0" + text(b"other") + text(b"new")))
    wanted = content(data) | {b"key:1": b"new", b"other": b"new"}
    status, said = run(capsys, "load", "--merge", data, dump)
    assert status == 0
    assert "it held 150 keys, and now holds 151" in said
    assert run(capsys, "check", data)[0] == 0
    assert content(data) == wanted
    fill(data, 150, 151)
    assert len(content(data)) == 152


def test_merging_behind_a_torn_tail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 10)
    take_back_conclusion(data)
    flip(data / segment_name(0), (data / segment_name(0)).read_bytes().rindex(b"key:9"))
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"other") + text(b"new")))
    assert run(capsys, "load", "--merge", data, dump)[0] == 0
    assert run(capsys, "check", data)[0] == 0
    assert len(content(data)) == 10


def test_an_empty_directory_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"a") + text(b"1")))
    data = tmp_path / "data"
    fill(data, 0, 0)
    assert run(capsys, "load", data, dump)[0] == 0
    assert content(data) == {b"a": b"1"}


# --- what is refused leaves nothing behind

LIST = b"\1" + text(b"my list") + b"\1" + text(b"e")


def test_other_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"a") + text(b"1") + LIST))
    status, said = run(capsys, "load", tmp_path / "data", dump)
    assert status == 2
    assert "list b'my list' in database 0" in said
    assert "--skip-other-types" in said
    assert not (tmp_path / "data").exists()
    status, said = run(capsys, "load", "--skip-other-types", tmp_path / "data", dump)
    assert status == 0
    assert "left out: 1 of the type list" in said
    assert "my list" in said
    assert content(tmp_path / "data") == {b"a": b"1"}


WRONG = {
    "empty": b"",
    "something else": b"hello\n",
    "rdb cut short": rdb(b"\0" + text(b"a") + text(b"1"))[:-3],
    "lines without an end": b"# kvcy lines 1\n0\t-\ta\t1\n",
    "lines that end in the middle": b"# kvcy lines 1\n0\t-\ta\t1",
    "a line too few": b"# kvcy lines 1\n0\t-\ta\t1\n# end 2\n",
    "something behind": b"# kvcy lines 1\n# end 0\n\n",
    "another version": b"# kvcy lines 12\n# end 0\n",
    "a field too few": b"# kvcy lines 1\n0\t-\ta\n# end 1\n",
    "a wrong database": b"# kvcy lines 1\n16\t-\ta\t1\n# end 1\n",
    "a wrong expiry": b"# kvcy lines 1\n0\tsoon\ta\t1\n# end 1\n",
    "a wrong escape": b"# kvcy lines 1\n0\t-\ta\\q\t1\n# end 1\n",
    "a short escape": b"# kvcy lines 1\n0\t-\ta\\x4\t1\n# end 1\n",
    "commands without an end": b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n",
    "half a command": b"*2\r\n$6\r\nSELECT\r\n$1\r\n",
    "another command": b"*1\r\n$8\r\nFLUSHALL\r\n",
    "another option": b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nNX\r\n",
    "a length that is none": b"*1\r\n$x\r\nPING\r\n",
    "a huge length": b"*1\r\n$99999999999\r\nPING\r\n",
    "a wrong end": b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nECHO\r\n$15\r\nkvcy dump end 1\r\n",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(WRONG[name])
    status, said = run(capsys, "load", tmp_path / "data", dump)
    assert status == 2
    assert str(dump) in said
    assert not (tmp_path / "data").exists()


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, "load", tmp_path / "data", tmp_path / "none")
    assert status == 3
    assert "none: No such file" in said
    assert not (tmp_path / "data").exists()


def test_a_directory_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"a") + text(b"1")))
    data = tmp_path / "data"
    data.mkdir()
    with kvcy_server.running("--dir", str(data), "--appendonly", "yes") as server:
        for words in (["dump", data], ["load", "--merge", data, dump]):
            status, said = run(capsys, *words)
            assert status == 3
            assert f"in use by process {server.process.pid}" in said


class Stopped(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("merge", [False, True])
def test_being_stopped_anywhere_is_all_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, merge: bool
) -> None:
    """Ends before each call on the file system that Python makes, with nothing put in order, as a kill would."""
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"new") + text(b"1")))
    calls = 0

    def stopping(after: int, function: str) -> None:
        real = getattr(os, function)

        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > after:
                raise Stopped
            return real(*arguments, **options)

        patch.setattr(os, function, call)

    for after in range(100):  # the calls of an import are fewer
        data = tmp_path / f"data-{after}"
        if merge:
            fill(data, 0, 3)
        before = content(data) if merge else {}
        calls = 0
        with monkeypatch.context() as patch:
            for name in ("mkdir", "rename", "unlink", "rmdir", "fsync", "ftruncate"):
                stopping(after, name)
            finished = False
            with suppress(Stopped):
                load(str(data), str(dump), Import(merge=merge), io.StringIO())
                finished = True
        found = content(data)
        assert found in (before, before | {b"new": b"1"}), after
        if finished:
            assert found == before | {b"new": b"1"}
            assert after > 3
            return
    raise AssertionError("the import never finished")


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(rdb(b"\0" + text(b"a") + text(b"1")))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_snapshot", full)
    status, said = run(capsys, "load", tmp_path / "data", dump)
    assert status == 3
    assert "No space left on device" in said
    assert not (tmp_path / "data").exists()
