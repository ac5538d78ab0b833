"""The server with a data directory: restarts, crashes, damage, snapshots."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random

import kvcy_server
import pytest
from kvcy_server import Client, Server

from kvcy.engine.directory import LOCK_NAME, Directory, Manifest

KILLS = int(os.environ.get("KVCY_KILL_ROUNDS", "6"))  # the long form: KVCY_KILL_ROUNDS=1000
CLIENTS = 4
PADDING = b" " + b"x" * 3000  # some writes fill a segment of this size
SMALL_SEGMENT_BYTES = 16384
RECORD = re.compile(r"offset (\d+), log position (\d+)")


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def running(directory: Path, *options: str, policy: str = "always") -> AbstractContextManager[Server]:
    return kvcy_server.running("--dir", str(directory), "--appendonly", "yes", "--appendfsync", policy, *options)


def info(server: Server, field: str) -> str:
    text = server.run("INFO", "persistence").decode()
    found = re.search(rf"^{field}:(.*)\r$", text, re.MULTILINE)
    assert found, field
    return found[1]


def segment(directory: Path) -> Path:
    return min(directory.glob("log-*"))


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    large = b"v" * 3_000_000
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "text", "hello")
        client.run("SET", "fleeting", "x", "PX", "1")
        client.run("SET", "later", "x", "EXAT", str(int(time.time()) + 10_000))
        client.run("APPEND", "text", " world")
        client.run("SETRANGE", "text", "0", "J")
        client.run("SET", "large", large)
        client.run("MSET", "a", "1", "b", "2", "c", "3")
        client.run("RENAME", "a", "renamed")
        client.run("COPY", "b", "copied", "DB", "3")
        client.run("MOVE", "c", "5")
        client.run("INCRBYFLOAT", "float", "10.5")
        client.send(["MULTI"], ["INCR", "n"], ["INCR", "n"], ["DEL", "b"], ["EXEC"])
        assert [client.read() for _ in range(5)][-1] == b"*3\r\n:1\r\n:2\r\n:1\r\n"
        assert server.stop() == 0
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("GET", "text") == bulk(b"Jello world")
        assert client.run("GET", "fleeting") == b"$-1\r\n"
        assert 9_000 < int(client.run("TTL", "later")[1:]) <= 10_000
        assert client.run("GET", "large") == bulk(large)
        assert client.run("MGET", "a", "b", "c", "renamed", "float", "n") == (
            b"*6\r\n$-1\r\n$-1\r\n$-1\r\n$1\r\n1\r\n$4\r\n10.5\r\n$1\r\n2\r\n"
        )
        client.run("SELECT", "3")
        assert client.run("GET", "copied") == bulk(b"2")
        client.run("SELECT", "5")
        assert client.run("GET", "c") == bulk(b"3")


def test_flushing_and_swapping_are_kept(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "gone", "1")
        client.run("FLUSHALL")
        client.run("SET", "here", "1")
        client.run("SWAPDB", "0", "1")
        client.run("SET", "new", "1")
        server.process.kill()
        server.wait()
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("KEYS", "*") == b"*1\r\n$3\r\nnew\r\n"
        client.run("SELECT", "1")
        assert client.run("KEYS", "*") == b"*1\r\n$4\r\nhere\r\n"


def test_a_transaction_is_one_record(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        before = int(info(server, "wal_records"))
        client.send(["MULTI"], ["SET", "a", "2"], ["SET", "b", "2"], ["DEL", "a"], ["EXEC"])
        assert [client.read() for _ in range(5)][-1].startswith(b"*3")
        assert client.run("MSET", "x", "1", "y", "2") == b"+OK\r\n"
        assert client.run("RENAME", "x", "z") == b"+OK\r\n"
        assert int(info(server, "wal_records")) == before + 3


class Writer(threading.Thread):
    """Counts a key of its own upwards, one acknowledged SET after the other, until the server is gone."""

    def __init__(self, server: Server, name: str, start: int) -> None:
        super().__init__()
        self.client = server.connect()
        self.name = name
        self.acknowledged = start
        self.sent = start
        self.some = threading.Event()

    def run(self) -> None:
        try:
            while True:
                self.sent += 1
                if self.client.run("SET", self.name, b"%d%s" % (self.sent, PADDING)) != b"+OK\r\n":
                    return
                self.acknowledged = self.sent
                self.some.set()
        except OSError:
            return
        finally:
            self.some.set()
            self.client.close()


def kill_while_loading(directory: Path, delay_s: float) -> None:
    """Starts a server, and kills it that long after it has taken the directory's lock."""
    command = [sys.executable, "-m", "kvcy", "--port", str(kvcy_server.free_port()), "--dir", str(directory)]
    with subprocess.Popen([*command, "--appendonly", "yes"], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + kvcy_server.TIMEOUT_S
            while (directory / LOCK_NAME).read_bytes() != b"%d\n" % process.pid:
                assert process.poll() is None and time.monotonic() < deadline
            time.sleep(delay_s)
        finally:
            process.kill()


def counter(client: Client, name: str) -> int:
    """What a Writer's key stands at."""
    reply = client.run("GET", name)
    return 0 if reply == b"$-1\r\n" else int(reply.split(b"\r\n")[1].removesuffix(PADDING))


Bounds = dict[str, tuple[int, int]]  # of each counter: what was acknowledged, and what was sent
End = Callable[[Server, dict[str, int]], Bounds]  # of a server, with what its counters stand at


def killed_under_load(server: Server, counters: dict[str, int], snapshot: bool) -> Bounds:
    """Lets clients count on until each was acknowledged once, and kills the server."""
    writers = [Writer(server, name, acknowledged) for name, acknowledged in counters.items()]
    for writer in writers:
        writer.start()
    if snapshot:
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
    for writer in writers:
        assert writer.some.wait(kvcy_server.TIMEOUT_S)
    server.process.kill()
    server.wait()
    for writer in writers:
        writer.join(kvcy_server.TIMEOUT_S)
    return {writer.name: (writer.acknowledged, writer.sent) for writer in writers}


def killed_idle(server: Server, counters: dict[str, int]) -> Bounds:
    server.process.kill()
    server.wait()
    return {name: (count, count) for name, count in counters.items()}


def life(directory: Path, bounds: Bounds, end: End) -> Bounds:
    """Starts a server, which must find the counters within the bounds, and ends it."""
    with running(directory) as server:
        with server.connect() as client:
            counters = {name: counter(client, name) for name in bounds}
        for name, (acknowledged, sent) in bounds.items():
            assert acknowledged <= counters[name] <= sent, name
        return end(server, counters)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Clients count, the server is killed, again while it loads, and at times once more when it has loaded: each
    counter is what was acknowledged, or the one that was under way. Segments are small, so that they are changed and
    removed."""
    with Directory(tmp_path) as directory:
        directory.write_manifest(Manifest.drawn(64, SMALL_SEGMENT_BYTES))
    bounds = {f"counter:{index}": (0, 0) for index in range(CLIENTS)}
    random = Random(1)
    for round_number in range(KILLS):
        bounds = life(tmp_path, bounds, partial(killed_under_load, snapshot=round_number % 2 == 1))
        for _ in range(round_number % 3):
            kill_while_loading(tmp_path, random.random() * 0.02)
        if round_number % 5 == 0:
            bounds = life(tmp_path, bounds, killed_idle)
    life(tmp_path, bounds, killed_idle)
    assert int(max(tmp_path.glob("log-" + "?" * 16)).name[4:], 16) >= KILLS // 2


def test_a_torn_tail_is_cut_with_a_warning(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        client.run("SET", "b", "2")
        end = int(info(server, "wal_position"))
        server.process.kill()
        server.wait()
    with segment(tmp_path).open("r+b") as file:
        file.seek(4096 + end - 4)
        file.write(b"\xff\xff")
    with running(tmp_path) as server, server.connect() as client:
        assert any("cut short" in line for line in server.log)
        assert client.run("MGET", "a", "b") == b"*2\r\n$1\r\n1\r\n$-1\r\n"
        client.run("SET", "c", "3")
    with running(tmp_path) as server, server.connect() as client:
        assert not any("cut short" in line for line in server.log)
        assert client.run("MGET", "a", "b", "c") == b"*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n"


def start_fails(directory: Path) -> str:
    """What the server says when it refuses to start."""
    command = [sys.executable, "-m", "kvcy", "--port", str(kvcy_server.free_port()), "--dir", str(directory)]
    ended = subprocess.run([*command, "--appendonly", "yes"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_damage_is_refused_with_its_place(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        for index in range(20):
            client.run("SET", f"key:{index}", "value")
        server.process.kill()
        server.wait()
    path = segment(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096 + 40)
        (byte,) = file.read(1)
        file.seek(4096 + 40)
        file.write(bytes([byte ^ 1]))
    error = start_fails(tmp_path)
    assert "damaged" in error
    assert path.name in error
    place = RECORD.search(error)
    assert place and int(place[1]) == 4096 and int(place[2]) == 0
    assert "Traceback" not in error


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        error = start_fails(tmp_path)
        assert f"is in use by process {server.process.pid}" in error


def test_a_snapshot_takes_the_place_of_the_log(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        for index in range(1000):
            client.run("SET", f"key:{index}", "old")
        before = int(client.run("LASTSAVE")[1:])
        assert client.run("SAVE") == b"+OK\r\n"
        assert int(client.run("LASTSAVE")[1:]) >= before
        assert info(server, "rdb_last_bgsave_status") == "ok"
        client.run("SET", "key:1", "new")
        assert server.stop() == 0
    assert len(list(tmp_path.glob("snapshot-*"))) == 1
    with running(tmp_path) as server, server.connect() as client:
        assert any("Loaded 1000 keys from snapshot-" in line for line in server.log)
        assert client.run("MGET", "key:1", "key:2") == b"*2\r\n$3\r\nnew\r\n$3\r\nold\r\n"
        assert client.run("DBSIZE") == b":1000\r\n"
        assert client.run("SAVE") == b"+OK\r\n"
    assert len(list(tmp_path.glob("snapshot-*"))) == 1


def test_sigusr1_writes_a_snapshot(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.run("SET", "a", "1")
        server.process.send_signal(signal.SIGUSR1)
        await_snapshot(server)
        assert len(list(tmp_path.glob("snapshot-*"))) == 1


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.run("SET", "a", "1")
        assert server.run("SAVE") == b"+OK\r\n"
    (path,) = tmp_path.glob("snapshot-*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    error = start_fails(tmp_path)
    assert path.name in error
    assert "is damaged at offset" in error


@pytest.mark.parametrize("policy", ["everysec", "no"])
def test_other_policies_keep_what_a_clean_end_leaves(tmp_path: Path, policy: str) -> None:
    with running(tmp_path, policy=policy) as server, server.connect() as client:
        client.send(*(["SET", f"key:{index}", "v"] for index in range(1000)))
        assert {client.read() for _ in range(1000)} == {b"+OK\r\n"}
        assert server.stop() == 0
    with running(tmp_path) as server:
        assert server.run("DBSIZE") == b":1000\r\n"


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_what_a_clean_end_leaves_is_never_taken_for_a_torn_tail(tmp_path: Path, policy: str) -> None:
    with running(tmp_path, policy=policy) as server:
        assert server.run("MSET", "a", "1", "b", "2") == b"+OK\r\n"
        assert server.stop() == 0
    whole = segment(tmp_path).read_bytes()
    for place in (whole.index(b"\1a1"), 4096, 4096 + 4, 4096 + 8):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        segment(tmp_path).write_bytes(damaged)
        found = RECORD.search(start_fails(tmp_path))
        assert found and found[0] == "offset 4096, log position 0"
    segment(tmp_path).write_bytes(whole)
    for _ in range(2):
        with running(tmp_path, policy=policy) as server:
            assert server.run("MGET", "a", "b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
            assert server.stop() == 0
    assert segment(tmp_path).read_bytes() == whole  # said once is enough


def test_the_policy_can_be_changed(tmp_path: Path) -> None:
    with running(tmp_path, policy="no") as server, server.connect() as client:
        assert client.run("CONFIG", "SET", "appendfsync", "always") == b"+OK\r\n"
        syncs = int(info(server, "wal_syncs"))
        client.run("SET", "a", "1")
        assert int(info(server, "wal_syncs")) > syncs
        assert info(server, "wal_durable_position") == info(server, "wal_position")


def test_unix_socket_clients_wait_for_the_log_too(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect_unix() as client:
        for index in range(50):
            assert client.run("SET", "n", str(index)) == b"+OK\r\n"
            assert info(server, "wal_durable_position") == info(server, "wal_position")


def pipeline(client: Client, count: int) -> list[bytes]:
    client.send(*(["INCR", "n"] for _ in range(count)))
    return [client.read() for _ in range(count)]


def test_a_deep_pipeline_is_answered_in_order(tmp_path: Path) -> None:
    """More than a turn takes, so that the connection waits for the log with bytes it has not looked at yet."""
    with running(tmp_path) as server, server.connect() as client:
        assert pipeline(client, 25_000) == [b":%d\r\n" % number for number in range(1, 25_001)]
        assert client.run("GET", "n") == bulk(b"25000")


def await_snapshot(server: Server) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while info(server, "rdb_last_bgsave_time_sec") == "-1":
        assert time.monotonic() < deadline


def test_a_save_rule_writes_a_snapshot(tmp_path: Path) -> None:
    with running(tmp_path, "--save", "1", "3") as server, server.connect() as client:
        client.run("MSET", "a", "1", "b", "2", "c", "3")
        await_snapshot(server)
        assert int(info(server, "rdb_changes_since_last_save")) == 0
    assert len(list(tmp_path.glob("snapshot-*"))) == 1


def test_a_log_that_has_grown_is_replaced_by_a_snapshot(tmp_path: Path) -> None:
    with running(tmp_path, "--auto-aof-rewrite-min-size", "10kb") as server, server.connect() as client:
        for index in range(100):
            client.run("SET", f"key:{index % 3}", "v" * 200)
        await_snapshot(server)
        assert server.run("DBSIZE") == b":3\r\n"
    with running(tmp_path) as server:
        assert any("Loaded 3 keys from snapshot-" in line for line in server.log)
