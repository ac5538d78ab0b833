"""Snapshots without a log: `appendonly no`, as a user of Redis expects it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import kvcy_server
from kvcy_server import Client, Server

NEVER = ("--save", "")


def running(directory: Path, *options: str) -> AbstractContextManager[Server]:
    return kvcy_server.running("--dir", str(directory), "--appendonly", "no", *options)


def logged(directory: Path) -> AbstractContextManager[Server]:
    return kvcy_server.running("--dir", str(directory), "--appendfsync", "always")


def info(server: Server, field: str) -> str:
    text = server.run("INFO", "everything").decode()
    found = re.search(rf"^{field}:(.*)\r$", text, re.MULTILINE)
    assert found, field
    return found[1]


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def await_info(server: Server, field: str, value: str) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while info(server, field) != value:
        assert time.monotonic() < deadline, f"{field} does not become {value}"


def await_log(server: Server, text: str) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while not any(text in line for line in list(server.log)):
        assert time.monotonic() < deadline, f"the log does not say {text!r}"
        time.sleep(0.01)


def kill(server: Server) -> None:
    server.process.kill()
    server.wait()


def test_nothing_is_made_until_the_first_save(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("GET", "a") == b"$-1\r\n"
        assert server.stop() == 0
    assert names(tmp_path) == set()
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        assert names(tmp_path) == set()
        assert client.run("SAVE") == b"+OK\r\n"
        assert names(tmp_path) == {"kvcy.lock", "kvcy.manifest", "snapshot-0000000000000000"}
        assert info(server, "rdb_changes_since_last_save") == "0"
        assert info(server, "aof_enabled") == "0"


def test_what_was_saved_is_there_and_what_was_not_is_gone(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server, server.connect() as client:
        client.run("SET", "kept", "1")
        client.run("SELECT", "7")
        client.run("SET", "there", "x" * 100_000)
        assert client.run("SAVE") == b"+OK\r\n"
        client.run("SET", "lost", "1")
        kill(server)
    with running(tmp_path, *NEVER) as server, server.connect() as client:
        assert any("Loaded 2 keys from snapshot-" in line for line in server.log)
        assert client.run("GET", "kept") == b"$1\r\n1\r\n"
        client.run("SELECT", "7")
        assert client.run("STRLEN", "there") == b":100000\r\n"
        assert client.run("EXISTS", "lost") == b":0\r\n"
        client.run("SET", "again", "1")
        assert client.run("SAVE") == b"+OK\r\n"
        kill(server)
    with running(tmp_path, *NEVER) as server:
        assert any("Loaded 3 keys from snapshot-" in line for line in server.log)


def test_the_end_saves_as_the_rules_say(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.run("SET", "a", "1")
        assert server.stop(signal.SIGTERM) == 0
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("GET", "a") == b"$1\r\n1\r\n"
        client.run("SET", "a", "2")
        client.send(["SHUTDOWN"])
        assert client.read_all() == b""
        assert server.wait() == 0
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("GET", "a") == b"$1\r\n2\r\n"
        client.run("SET", "a", "3")
        client.send(["SHUTDOWN", "NOSAVE"])
        assert client.read_all() == b""
        assert server.wait() == 0
    with running(tmp_path, *NEVER) as server:
        assert server.run("GET", "a") == b"$1\r\n2\r\n"
        server.run("SET", "a", "4")
        assert server.stop(signal.SIGTERM) == 0
    with running(tmp_path, *NEVER) as server, server.connect() as client:
        assert client.run("GET", "a") == b"$1\r\n2\r\n"
        client.run("SET", "a", "5")
        client.send(["SHUTDOWN", "SAVE"])
        assert client.read_all() == b""
        assert server.wait() == 0
    with running(tmp_path, *NEVER) as server:
        assert server.run("GET", "a") == b"$1\r\n5\r\n"


def test_a_server_that_cannot_save_does_not_end(tmp_path: Path) -> None:
    """Its directory was taken by another meanwhile."""
    with running(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        with logged(tmp_path) as other:
            other.run("SET", "b", "1")
            assert client.run("SAVE").startswith(b"-ERR the snapshot failed: the directory")
            server.process.send_signal(signal.SIGTERM)
            await_log(server, "The server goes on")
            assert client.run("SHUTDOWN") == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert b"holds data that this process has not read" in client.run("SAVE")
        assert client.run("GET", "a") == b"$1\r\n1\r\n"
        client.send(["SHUTDOWN", "SAVE", "FORCE"])
        assert client.read_all() == b""
        assert server.wait() == 0
    with logged(tmp_path) as server:
        assert server.run("MGET", "a", "b") == b"*2\r\n$-1\r\n$1\r\n1\r\n"


def test_a_directory_with_data_is_locked(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.run("SET", "a", "1")
        server.run("SAVE")
    with running(tmp_path):
        command = [sys.executable, "-m", "kvcy", "--port", str(kvcy_server.free_port()), "--dir", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1 and "is in use by process" in ended.stderr


def test_a_log_is_read_and_can_be_gone_on_with(tmp_path: Path) -> None:
    with logged(tmp_path) as server, server.connect() as client:
        client.run("SET", "n", "1")
        client.run("SET", "gone", "1")
        kill(server)
    before = {name for name in names(tmp_path) if not name.endswith(".new")}  # it may have been making a segment
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("MGET", "n", "gone") == b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"
        client.run("SET", "n", "2")
        client.run("DEL", "gone")
        assert names(tmp_path) == before
        assert client.run("SAVE") == b"+OK\r\n"
        client.run("SET", "n", "3")
        assert client.run("SAVE") == b"+OK\r\n"
        client.run("SET", "n", "4")
        kill(server)
    with logged(tmp_path) as server, server.connect() as client:
        assert client.run("MGET", "n", "gone") == b"*2\r\n$1\r\n3\r\n$-1\r\n"
        client.run("SET", "later", "1")
        kill(server)
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("MGET", "n", "gone", "later") == b"*3\r\n$1\r\n3\r\n$-1\r\n$1\r\n1\r\n"


def test_a_torn_tail_is_left_out_and_cut_later(tmp_path: Path) -> None:
    with logged(tmp_path) as server, server.connect() as client:
        client.run("SET", "a", "1")
        client.run("SET", "b", "2")
        end = int(info(server, "wal_position"))
        kill(server)
    with min(tmp_path.glob("log-*")).open("r+b") as file:
        file.seek(4096 + end - 4)
        file.write(b"\xff\xff")
    with running(tmp_path) as server, server.connect() as client:
        assert client.run("MGET", "a", "b") == b"*2\r\n$1\r\n1\r\n$-1\r\n"
        client.run("SET", "c", "3")
        assert client.run("SAVE") == b"+OK\r\n"
    with logged(tmp_path) as server, server.connect() as client:
        assert any("cut short" in line for line in server.log)
        client.run("SET", "d", "4")
        kill(server)
    with logged(tmp_path) as server:
        assert not any("cut short" in line for line in server.log)
        assert server.run("MGET", "a", "b", "c", "d") == b"*4\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n$1\r\n4\r\n"


def test_rules_and_signals_save(tmp_path: Path) -> None:
    with running(tmp_path, "--save", "1", "2") as server, server.connect() as client:
        client.run("MSET", "a", "1", "b", "2")
        await_info(server, "rdb_saves", "1")
    assert any(name.startswith("snapshot-") for name in names(tmp_path))
    with running(tmp_path, *NEVER) as server, server.connect() as client:
        assert client.run("DBSIZE") == b":2\r\n"
        client.run("SET", "c", "3")
        server.process.send_signal(signal.SIGUSR1)
        await_info(server, "rdb_saves", "1")
        kill(server)
    with running(tmp_path) as server:
        assert server.run("DBSIZE") == b":3\r\n"


class Mover(threading.Thread):
    """Moves a token through many keys, a step a transaction: at any moment exactly one key has it."""

    KEYS = 500

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.over = threading.Event()
        self.moves = 0

    def run(self) -> None:
        while not self.over.is_set():
            here, there = self.moves % self.KEYS, (self.moves + 1) % self.KEYS
            self.client.send(["MULTI"], ["SET", f"key:{here}", "no"], ["SET", f"key:{there}", "yes"], ["EXEC"])
            assert [self.client.read() for _ in range(4)][-1] == b"*2\r\n+OK\r\n+OK\r\n"
            self.moves += 1


def one_moment(directory: Path, command: str, *options: str) -> None:
    """Saves while a token moves, and looks whether there is exactly one after a restart."""
    with running(directory, *NEVER, *options) as server, server.connect() as client, server.connect() as moving:
        client.send(*(["SET", f"filler:{index}", "x" * 200] for index in range(20_000)))
        assert {client.read() for _ in range(20_000)} == {b"+OK\r\n"}
        mover = Mover(moving)
        mover.start()
        for _ in range(3):
            before = mover.moves
            while mover.moves < before + 50:
                time.sleep(0.001)
            assert client.run(command)[:1] == b"+"
            await_info(server, "rdb_bgsave_in_progress", "0")
            assert info(server, "rdb_last_bgsave_status") == "ok"
        mover.over.set()
        mover.join()
        kill(server)
    with running(directory, *NEVER, *options) as server, server.connect() as client:
        values = client.run("MGET", *(f"key:{index}" for index in range(Mover.KEYS)))
        assert values.count(b"$3\r\nyes\r\n") == 1
        assert client.run("EXISTS", *(f"filler:{index}" for index in range(20_000))) == b":20000\r\n"


def test_a_snapshot_is_of_one_moment(tmp_path: Path) -> None:
    one_moment(tmp_path, "SAVE")


# --- snapshots that fail


def refused_to_save(server: Server, directory: Path) -> None:
    """Lets BGSAVE fail: the directory, in which the server has made nothing yet, holds other data."""
    (directory / "kvcy.manifest").write_text("of another")
    assert server.run("BGSAVE") == b"+Background saving started\r\n"
    await_info(server, "rdb_last_bgsave_status", "err")


def test_writes_are_refused_while_snapshots_fail(tmp_path: Path) -> None:
    with running(tmp_path, "--save", "3600 1000") as server, server.connect() as client:
        assert client.run("SET", "a", "1") == b"+OK\r\n"
        refused_to_save(server, tmp_path)
        refusal = client.run("SET", "a", "2")
        assert refusal.startswith(b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to ")
        assert client.run("DEL", "a") == client.run("FLUSHALL") == refusal
        assert client.run("GET", "a") == b"$1\r\n1\r\n"
        client.run("MULTI")
        assert client.run("INCR", "a") == refusal
        assert client.run("EXEC").startswith(b"-EXECABORT")
        (tmp_path / "kvcy.manifest").unlink()
        assert client.run("SAVE") == b"+OK\r\n"
        assert client.run("SET", "a", "2") == b"+OK\r\n"
        assert server.stop() == 0


def test_writes_are_not_refused_where_nobody_counts_on_snapshots(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server, server.connect() as client:
        refused_to_save(server, tmp_path)
        assert client.run("SET", "a", "1") == b"+OK\r\n"
        client.run("CONFIG", "SET", "save", "3600 1000")
        assert client.run("SET", "a", "1").startswith(b"-MISCONF ")
        client.run("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        assert client.run("SET", "a", "1") == b"+OK\r\n"
        client.run("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
        assert client.run("SET", "a", "1").startswith(b"-MISCONF ")
        client.run("CONFIG", "SET", "save", "")
        assert client.run("SET", "a", "1") == b"+OK\r\n"
        assert server.stop() == 0
