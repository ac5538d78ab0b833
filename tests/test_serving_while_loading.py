"""The server answers while it loads: what, and what becomes of clients, signals and damage meanwhile.

Loading is held up in a read of the log until the test lets it go on (held_server.py)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import kvcy_server
import pytest
from kvcy_server import Client, Server
from test_disk_faults import fail, python_path
from test_persistence import bulk, running, start_fails

import kvcy
from kvcy.engine.directory import Directory, Manifest

PROGRAM = str(Path(__file__).with_name("held_server.py"))
HEAD_READS = 2  # of the log's first segment, before its records
PART_READS = 6  # some of the records too
RESTORE_READS = 60  # the whole log, to find the way to the point, and some of the records again
KEYS = 6000
SEGMENT_BYTES = 1 << 20
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a log of some megabytes; to be copied."""
    path = tmp_path_factory.mktemp("data")
    with Directory(path) as made:
        made.write_manifest(Manifest.drawn(64, SEGMENT_BYTES))
    with kvcy.open(path) as store:
        for number in range(KEYS):
            store[b"key:%d" % number] = b"%01000d" % number
    return path


@pytest.fixture
def directory(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "data"))


@contextlib.contextmanager
def held(directory: Path, *options: str, reads: int = HEAD_READS) -> Iterator[Server]:
    """A server that waits in the middle of loading."""
    arguments = ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", "always", *options]
    with python_path(), kvcy_server.running(
        *arguments, program=[PROGRAM, str(reads)], piped=True, ready=False
    ) as server:  # fmt: skip
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "\n"
        yield server


def let_go(server: Server) -> None:
    assert server.process.stdin is not None
    print(file=server.process.stdin, flush=True)


def persistence(client: Client) -> dict[str, str]:
    return dict(re.findall(r"(\w+):(.*)\r\n", client.run("INFO", "persistence").decode()))


def test_what_is_served(directory: Path) -> None:
    with (
        held(directory, "--enable-debug-command", "local") as server,
        server.connect() as tcp,
        server.connect_unix() as unix,
    ):
        for client in (tcp, unix):
            for refused in (
                ["GET", "key:1"], ["SET", "key:1", "x"], ["PING"], ["DBSIZE"], ["KEYS", "*"], ["FLUSHALL"],
                ["SWAPDB", "0", "1"], ["WATCH", "key:1"], ["MGET", "key:1", "key:2"], ["SAVE"], ["BGSAVE"],
                ["DEBUG", "OBJECT", "key:1"],
            ):  # fmt: skip
                assert client.run(*refused) == LOADING
            assert client.run("ECHO", "hello") == bulk(b"hello")
            assert client.run("SELECT", "1") == client.run("SELECT", "0") == b"+OK\r\n"
            assert client.run("CONFIG", "GET", "appendonly") == b"*2\r\n" + bulk(b"appendonly") + bulk(b"yes")
            assert client.run("CLIENT", "SETNAME", "me") == b"+OK\r\n"
            assert client.run("ROLE").startswith(b"*3\r\n$6\r\nmaster")
            assert client.run("CONFIG", "RESETSTAT") == b"+OK\r\n"
            assert b"used_memory:" in client.run("INFO", "everything")
            assert client.run("GET").startswith(b"-ERR wrong number of arguments")
            assert client.run("NONE").startswith(b"-ERR unknown command")
            assert client.run("MULTI") == b"+OK\r\n"
            assert client.run("ECHO", "1") == b"+QUEUED\r\n"
            assert client.run("SET", "key:1", "x") == LOADING
            assert client.run("EXEC").startswith(b"-EXECABORT")
            client.send(*(["GET", f"key:{number}"] for number in range(100)))
            assert [client.read() for _ in range(100)] == [LOADING] * 100
        let_go(server)
        server.await_ready()
        for client in (tcp, unix):
            assert client.run("PING") == b"+PONG\r\n"
            assert client.run("WATCH", "key:1") == b"+OK\r\n"
            client.send(*(["GET", f"key:{number}"] for number in range(KEYS)))
            assert all(client.read() == bulk(b"%01000d" % number) for number in range(KEYS))
            assert client.run("DBSIZE") == b":%d\r\n" % KEYS
            assert client.run("DEBUG", "OBJECT", "key:1").startswith(b"+Value at:")


def test_info_tells_how_far_it_is(directory: Path) -> None:
    with held(directory, reads=PART_READS) as server, server.connect() as client:
        fields = persistence(client)
        assert (fields["loading"], fields["async_loading"], fields["loading_rdb_used_mem"]) == ("1", "0", "0")
        loaded, total = int(fields["loading_loaded_bytes"]), int(fields["loading_total_bytes"])
        assert 0 < loaded < total
        assert total > KEYS * 1000
        assert fields["loading_loaded_perc"] == f"{100 * loaded / total:.2f}"
        assert int(fields["loading_eta_seconds"]) >= 1
        assert int(fields["loading_start_time"]) > 0
        assert server.process.stderr is not None
        lines = iter(server.process.stderr)
        assert any(re.search(rf"Loading: \d+ % of {total} bytes, about \d+ seconds left", line) for line in lines)
        let_go(server)
        server.await_ready()
        fields = persistence(client)
        assert fields["loading"] == "0"
        assert not [name for name in fields if name.startswith("loading_")]


def test_a_restore_tells_how_far_it_is_and_nobody_is_served_before(directory: Path) -> None:
    with held(directory, "--recover-to", f"@{time.time():.3f}", reads=RESTORE_READS) as server:
        assert server.process.stderr is not None
        told = re.compile(r"Loading: (\d+) % of (\d+) bytes, about \d+ seconds left")
        percentage, total = next(match.groups() for line in server.process.stderr if (match := told.search(line)))
        assert 0 < int(percentage) < 100 and int(total) > KEYS * 1000
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        let_go(server)
        server.await_ready()
        assert any("Restored to position" in line for line in server.log)
        assert server.run("DBSIZE") == b":%d\r\n" % KEYS


def test_a_password_is_asked_for_first(directory: Path) -> None:
    with held(directory, "--requirepass", "secret") as server, server.connect() as client:
        assert client.run("GET", "key:1").startswith(b"-NOAUTH")
        assert client.run("AUTH", "wrong").startswith(b"-WRONGPASS")
        assert client.run("HELLO", "3", "AUTH", "default", "secret").startswith(b"%")
        assert client.run("GET", "key:1") == LOADING


@pytest.mark.parametrize("unix", [False, True])
def test_no_reply_goes_out_before_the_log_that_was_opened_later(directory: Path, unix: bool) -> None:
    with held(directory) as server, server.connect_unix() if unix else server.connect() as client:
        assert client.run("SET", "n", "0") == LOADING
        let_go(server)
        server.await_ready()
        assert client.run("SET", "n", "1") == b"+OK\r\n"
        fail(server, "sync", 1, 1, errno.EIO)
        client.send(["SET", "n", "2"])
        assert client.read_all() == b""


def test_the_policy_that_was_set_meanwhile_counts(directory: Path) -> None:
    with held(directory) as server, server.connect() as client:
        assert client.run("CONFIG", "SET", "appendfsync", "no") == b"+OK\r\n"
        let_go(server)
        server.await_ready()
        fail(server, "sync", 1, 1, errno.EIO)
        assert client.run("SET", "n", "1") == b"+OK\r\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "SHUTDOWN", "SHUTDOWN SAVE", "SHUTDOWN NOSAVE"])
def test_the_end_while_loading(directory: Path, how: signal.Signals | str) -> None:
    with held(directory) as server, server.connect() as client, server.connect() as other:
        assert other.run("GET", "key:1") == LOADING
        if isinstance(how, signal.Signals):
            server.process.send_signal(how)
        else:
            client.send(how.split())
        assert client.read_all() == other.read_all() == b""
        let_go(server)
        assert server.process.stderr is not None
        said = server.process.stderr.read()
        assert server.wait() == 0
        assert "Ready to accept connections" not in said
        assert "Traceback" not in said
    assert not list(directory.glob("snapshot-*"))
    with running(directory) as server:
        assert server.run("DBSIZE") == b":%d\r\n" % KEYS


def test_damage_that_is_found_while_loading(directory: Path) -> None:
    with running(directory) as server:  # what it writes calls what was there durable
        server.run("SET", "after", "1")
    path = sorted(directory.glob("log-*"))[2]
    with path.open("r+b") as file:
        file.seek(500_000)
        (byte,) = file.read(1)
        file.seek(500_000)
        file.write(bytes([byte ^ 1]))
    with held(directory) as server, server.connect() as client:
        assert client.run("GET", "key:1") == LOADING
        let_go(server)
        assert client.read_all() == b""
        assert server.process.stderr is not None
        said = server.process.stderr.read()
        assert server.wait() == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("kvcy-server: the log is damaged: ")


def test_a_port_that_is_taken_is_told_before_the_directory(directory: Path) -> None:
    with running(directory) as server:
        port = ["--port", str(server.port)]
        command = [sys.executable, "-m", "kvcy", *port, "--dir", str(directory), "--appendonly", "yes"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert ended.stderr.endswith("Address already in use\n")
        assert "is in use by process" in start_fails(directory)


def test_the_background_is_reached_before_the_data_are_loaded(directory: Path) -> None:
    port = kvcy_server.free_port()
    options = ["--port", str(port), "--dir", str(directory), "--daemonize", "yes", "--pidfile", "pid"]
    with python_path():
        command = [sys.executable, PROGRAM, str(HEAD_READS), *options]
        assert subprocess.run(command, timeout=60, check=False).returncode == 0
    pid = int((directory / "pid").read_text())
    try:
        with Client(socket.create_connection(("127.0.0.1", port), 60)) as client:
            assert client.run("GET", "key:1") == LOADING
            os.kill(pid, signal.SIGKILL)
            assert client.read_all() == b""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
