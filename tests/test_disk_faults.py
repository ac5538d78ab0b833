"""The server on a disk that fails or is full, and the store on one that is slow to take what it is given."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import kvcy_server
import pytest
from crash_calls import SEGMENT_BYTES_ALWAYS, Calls
from crash_script import Promise, recovered, run
from kvcy_server import Client, Server
from log_files import opened
from test_persistence import bulk, counter, info, running, start_fails

from kvcy.engine.directory import Directory, Manifest
from probes import log_probe

STEP = int(os.environ.get("KVCY_FULL_DISK_STEP", "7"))  # the long form: KVCY_FULL_DISK_STEP=1
SEGMENT_BYTES = 65536
ALWAYS = 2**40


@contextlib.contextmanager
def faulty(directory: Path, policy: str = "always") -> Iterator[Server]:
    """A server whose disk fails when `fail` says so.

    A read waits for the disk if a change of its key's shard does: by this hash key "before" has a shard of its own.
    """
    with Directory(directory) as made:
        made.write_manifest(Manifest(os.urandom(16), bytes(16), 64, SEGMENT_BYTES))
    program = [str(Path(__file__).with_name("faulty_server.py"))]
    options = ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", policy]
    with python_path(), kvcy_server.running(*options, program=program, piped=True) as server:
        yield server


@contextlib.contextmanager
def python_path() -> Iterator[None]:
    """Lets processes find the probes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(Path(__file__).parent)]))
        yield


def fail(server: Server, kind: str, first: int, last: int, error: int) -> None:
    """From now on, calls `first` to `last` of a kind fail."""
    assert server.process.stdin is not None
    assert server.process.stdout is not None
    print(kind, first, last, error, file=server.process.stdin, flush=True)
    assert server.process.stdout.readline() == "\n"


def await_next_segment(directory: Path) -> None:
    """Until the segment is there that the log makes ahead: from then on only commands cause writes."""
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while len([*directory.glob("log-" + "?" * 16)]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_until_refused(client: Client) -> tuple[int, bytes]:
    """Counts a key upwards: the last number that was acknowledged, and what came then; b"": the end."""
    for number in range(1, 100_000):
        try:
            reply = client.run("SET", "n", str(number))
        except ConnectionError:
            return number - 1, b""
        if reply != b"+OK\r\n":
            return number - 1, reply
    raise AssertionError("nothing was refused")


def refused(client: Client, reason: int) -> bool:
    reply = client.run("SET", "other", "x")
    return reply.startswith(b"-MISCONF") and os.strerror(reason).encode() in reply


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("kind", ["sync", "write"])
def test_an_error_of_the_disk_ends_writing(tmp_path: Path, kind: str, number: int) -> None:
    """The n-th call fails and no other: what it was for is not acknowledged, and nothing behind it ever is."""
    with faulty(tmp_path) as server, server.connect() as client, server.connect() as other:
        assert client.run("SET", "before", "1") == b"+OK\r\n"
        await_next_segment(tmp_path)
        fail(server, kind, number, number, errno.EIO)
        acknowledged, reply = count_until_refused(client)
        assert (acknowledged, reply) == (number - 1, b"")
        assert refused(other, errno.EIO)
        assert other.run("GET", "before") == bulk(b"1")
        with server.connect() as reader, pytest.raises(ConnectionError):
            reader.run("GET", "n")  # would show what is lost
        assert info(server, "aof_last_write_status") == "err"
        assert int(info(server, "wal_durable_position")) < int(info(server, "wal_position"))
        assert server.run("SAVE").startswith(b"-ERR the snapshot failed")
        assert refused(other, errno.EIO)
        await_line(server, "cannot be written and is closed: Input/output error")
        assert server.stop() == 1
    assert "could not be closed: Input/output error" in server.log[-1]
    assert not any("Traceback" in line for line in server.log)
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("GET", "before") == bulk(b"1")
        value = client.run("GET", "n")
        found = 0 if value == b"$-1\r\n" else int(value.split(b"\r\n")[1])
        assert acknowledged <= found <= acknowledged + 1


def test_an_error_of_the_disk_with_everysec(tmp_path: Path) -> None:
    with faulty(tmp_path, "everysec") as server, server.connect() as client:
        await_next_segment(tmp_path)
        fail(server, "sync", 1, 1, errno.EIO)
        acknowledged, reply = count_until_refused(client)
        assert acknowledged > 0
        assert reply == b"" or reply.startswith(b"-MISCONF")
        with server.connect() as other:
            assert refused(other, errno.EIO)


@pytest.mark.parametrize("kind", ["write", "allocate"])
def test_a_full_disk_refuses_writes_until_there_is_room(tmp_path: Path, kind: str) -> None:
    sent = 20
    with faulty(tmp_path) as server, server.connect() as client, server.connect() as other:
        assert client.run("SET", "before", "1") == b"+OK\r\n"
        await_next_segment(tmp_path)
        fail(server, kind, 1, ALWAYS, errno.ENOSPC)
        client.send(*(["SET", f"key:{number}", "v" * 5000] for number in range(sent)))
        await_status(server, "err")
        assert refused(other, errno.ENOSPC)
        assert other.run("GET", "before") == bulk(b"1")
        fail(server, kind, 0, 0, 0)
        replies = [client.read() for _ in range(sent)]
        accepted = [number for number, reply in enumerate(replies) if reply == b"+OK\r\n"]
        assert accepted
        assert all(reply.startswith((b"+OK", b"-MISCONF")) for reply in replies)
        await_status(server, "ok")
        assert other.run("SET", "other", "x") == b"+OK\r\n"
        server.process.kill()
        server.wait()
    with running(tmp_path) as server, server.connect() as client:
        for number in accepted:
            assert client.run("STRLEN", f"key:{number}") == b":5000\r\n"
        assert client.run("GET", "other") == bulk(b"x")


@pytest.mark.parametrize("end", ["room", "stop"])
def test_a_value_larger_than_the_ring_on_a_full_disk_stops_nobody(tmp_path: Path, end: str) -> None:
    value = b"v" * 6_000_000
    with faulty(tmp_path) as server, contextlib.ExitStack() as clients:
        client, *others = (clients.enter_context(server.connect()) for _ in range(9))
        assert client.run("SET", "before", "1") == b"+OK\r\n"
        await_next_segment(tmp_path)
        fail(server, "allocate", 1, ALWAYS, errno.ENOSPC)
        client.send(["SET", "large", value])
        await_status(server, "err")
        for other in others:
            assert other.run("GET", "before") == bulk(b"1")
            assert refused(other, errno.ENOSPC)
        if end == "stop":
            assert server.stop() == 1
            assert client.read_all() == b""
        else:
            fail(server, "allocate", 0, 0, 0)
            assert client.read() == b"+OK\r\n"
    with running(tmp_path) as server:
        assert server.run("GET", "large") == (bulk(value) if end == "room" else b"$-1\r\n")


def await_status(server: Server, status: str) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while info(server, "aof_last_write_status") != status:
        assert time.monotonic() < deadline


def await_line(server: Server, text: str) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while not any(text in line for line in server.log):
        assert time.monotonic() < deadline


def await_writes(client: Client) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while client.run("SET", "other", "x") != b"+OK\r\n":
        assert time.monotonic() < deadline


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], timeout=60, check=True)


def test_a_disk_that_is_full(small_disk: Path) -> None:
    data = small_disk / "data"
    with Directory(data) as directory:
        directory.write_manifest(Manifest.drawn(64, SEGMENT_BYTES))
    (small_disk / "ballast").write_bytes(bytes(300_000))
    with running(data) as server, server.connect() as client:
        written = 0
        while (reply := client.run("SET", f"key:{written}", "v" * 1000)) == b"+OK\r\n":
            written += 1
        assert b"-MISCONF" in reply
        assert b"No space left on device" in reply
        assert 300 < written < 700
        assert client.run("STRLEN", "key:0") == b":1000\r\n"
        assert server.run("SAVE").endswith(b"could not be written: No space left on device\r\n")
        assert not list(data.glob("snapshot-*"))
        (small_disk / "ballast").unlink()
        await_writes(client)
        server.process.kill()
        server.wait()
    with running(data) as server, server.connect() as client:
        assert client.run("DBSIZE") == b":%d\r\n" % (written + 1)
        assert counter(client, "absent") == 0


def test_a_disk_that_is_too_small_to_start(small_disk: Path) -> None:
    error = start_fails(small_disk)
    assert "cannot be opened: No space left on device (a segment takes 67,108,864 bytes)" in error
    assert "Traceback" not in error


class Full(Calls):
    """There is no room from one call that needs some on, for three of them."""

    def __init__(self, first: int) -> None:
        self.number = 0
        self._first = first

    def before(self, kind: str, *about: Any) -> None:
        if kind in ("write", "allocate"):
            self.number += 1
            if self._first <= self.number < self._first + 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_for_a_while_at_each_write(tmp_path: Path) -> None:
    """What is refused is tried again, and in the end nothing is missing."""
    calls = Full(ALWAYS)
    run(tmp_path / "undisturbed", calls, Promise(), 1, commands=25)
    for first in range(5, calls.number, STEP):  # before it the directory is made
        path, promise = tmp_path / str(first), Promise()
        run(path, Full(first), promise, 1, commands=25)
        assert len(promise.states) == 26
        assert promise.promised == 25
        assert recovered(path) == promise.states[-1]


class Short(Calls):
    """Writes part of what is asked for."""

    def __init__(self) -> None:
        self._random = Random(1)

    def write_at(self, file: int, data: bytes, offset: int) -> int:
        return super().write_at(file, data[: self._random.randint(1, len(data))], offset)


def test_short_and_interrupted_calls_make_no_difference(tmp_path: Path) -> None:
    records = []
    for calls, interrupted in ((Calls(), False), (Short(), True)):
        path, promise = tmp_path / str(interrupted), Promise()
        for seed, saves in ((2, 0), (3, 1)):
            run(path, calls, promise, seed, policy="always", saves=saves, interrupted=interrupted)
        assert recovered(path) == promise.states[-1]
        with opened(path) as directory:
            found, _ = log_probe.read(directory, SEGMENT_BYTES_ALWAYS, min_segment(path), b"history of a run")
        records.append([(position, operations) for position, _, _, _, operations in found])
    assert records[0] == records[1]
    assert len(records[0]) > 10


def min_segment(path: Path) -> int:
    """The position from which the log continues the snapshot."""
    return int(min(path.glob("snapshot-*")).name[len("snapshot-") :], 16)


def test_a_manifest_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "kvcy.manifest.new").mkdir()
    error = start_fails(tmp_path)
    assert "cannot be used: Is a directory" in error
    assert "Traceback" not in error
