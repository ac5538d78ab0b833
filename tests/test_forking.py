"""Snapshots that a forked child writes (engine/fork.pyx): what is in them, and what becomes of them when it dies."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import time
from pathlib import Path

import kvcy_server
import pytest
from kvcy_server import Server
from test_saving import NEVER, await_info, info, kill, names, one_moment, running

from kvcy._core import Store
from kvcy._opening import open_data
from kvcy._persistence import Persistence
from kvcy._saving import can_fork
from kvcy.errors import DirectoryError

pytestmark = pytest.mark.skipif(not can_fork, reason="this system cannot fork snapshots")
FORKED = ("--snapshot-method", "fork")


def opened(directory: Path) -> tuple[Store, Persistence]:
    """A store without a log; its first snapshot is made."""
    store, persistence, _ = open_data(directory, shards=16, policy=None)
    persistence.snapshots.claim(str(directory))
    return store, persistence


def closed(store: Store, persistence: Persistence) -> None:
    store.close()
    persistence.close()


def ended(persistence: Persistence, number: int | None = None) -> str:
    """Forks, sends the child a signal before it can have ended, and waits for its end; the snapshot's name."""
    child = persistence.snapshots.fork()
    try:
        if number is not None:
            os.kill(child.pid, number)
        while not child.read():
            assert select.select([child.pipe], [], [], kvcy_server.TIMEOUT_S)[0]
        return child.take()
    finally:
        child.close()


def fill(store: Store, value: bytes) -> None:
    for index in range(20_000):
        store[b"key:%d" % index] = value


def is_gone(pid: int) -> bool:
    """Whether there is no process of this number that runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ESRCH)


def test_a_child_writes_what_there_was_when_it_was_forked(tmp_path: Path) -> None:
    store, persistence = opened(tmp_path)
    fill(store, b"before")
    child = persistence.snapshots.fork()
    fill(store, b"after")
    store[b"new"] = b"1"
    while not child.read():
        assert select.select([child.pipe], [], [], kvcy_server.TIMEOUT_S)[0]
    assert child.take() == "snapshot-0000000000000000"
    assert child.cow_bytes > 0 and child.pause_us > 0
    child.close()
    assert child.pid == 0
    closed(store, persistence)
    store, persistence = opened(tmp_path)
    assert len(store) == 20_000 and set(store.values()) == {b"before"}
    closed(store, persistence)


def test_a_child_that_is_killed_leaves_the_snapshot_before(tmp_path: Path) -> None:
    store, persistence = opened(tmp_path)
    fill(store, b"before")
    assert ended(persistence) == "snapshot-0000000000000000"
    fill(store, b"after" * 1000)
    with pytest.raises(DirectoryError, match="was ended before"):
        ended(persistence, signal.SIGKILL)
    assert names(tmp_path) == {"kvcy.lock", "kvcy.manifest", "snapshot-0000000000000000"}
    closed(store, persistence)
    store, persistence = opened(tmp_path)
    assert set(store.values()) == {b"before"}
    closed(store, persistence)


def test_a_child_holds_nothing_of_its_parent(tmp_path: Path) -> None:
    store, persistence = opened(tmp_path)
    fill(store, b"x" * 5000)
    child = persistence.snapshots.fork()
    while not child.keys:
        assert not child.read()
    os.kill(child.pid, signal.SIGSTOP)
    held = {os.readlink(f"/proc/{child.pid}/fd/{number}") for number in os.listdir(f"/proc/{child.pid}/fd")}
    threads = len(os.listdir(f"/proc/{child.pid}/task"))
    child.close()
    assert threads == 1
    assert {name.partition(":")[0] for name in held} == {"pipe", str(tmp_path / "snapshot.new")}
    closed(store, persistence)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """The limit of a file's size stands for it."""
    store, persistence = opened(tmp_path)
    fill(store, b"x" * 1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(DirectoryError, match="File too large"):
            ended(persistence)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "snapshot.new" not in names(tmp_path)
    assert ended(persistence) == "snapshot-0000000000000000"
    closed(store, persistence)


# --- in the server


def fill_server(server: Server, count: int = 30_000) -> None:
    with server.connect() as client:
        client.send(*(["SET", f"key:{index}", "v" * 4000] for index in range(count)))
        assert {client.read() for _ in range(count)} == {b"+OK\r\n"}


def child_of(server: Server) -> int:
    """The number of the server's child."""
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    while not (found := path.read_text().split()):
        under_way = {info(server, "rdb_bgsave_in_progress"), info(server, "aof_rewrite_in_progress")}
        assert "1" in under_way, "the child has ended before it was seen"
    return int(found[0])


def test_bgsave_forks_and_tells(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server:
        fill_server(server, 1000)
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
        await_info(server, "rdb_saves", "1")
        assert int(info(server, "total_forks")) == 1
        assert int(info(server, "latest_fork_usec")) > 0
        assert int(info(server, "rdb_last_cow_size")) > 0
        assert info(server, "rdb_last_bgsave_status") == "ok"
        kill(server)
    with running(tmp_path, *NEVER) as server:
        assert server.run("DBSIZE") == b":1000\r\n"


def test_a_killed_child_is_a_failed_bgsave(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server:
        server.run("SET", "a", "1")
        assert server.run("SAVE") == b"+OK\r\n"
        fill_server(server)
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
        os.kill(child_of(server), signal.SIGKILL)
        await_info(server, "rdb_bgsave_in_progress", "0")
        assert info(server, "rdb_last_bgsave_status") == "err"
        assert info(server, "rdb_saves") == "1"
        kill(server)
    with running(tmp_path, *NEVER) as server:
        assert server.run("DBSIZE") == b":1\r\n"


def test_snapshots_follow_one_another_as_redis_lets_them(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server:
        fill_server(server)
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
        child = child_of(server)
        os.kill(child, signal.SIGSTOP)
        assert server.run("BGSAVE") == b"-ERR Background save already in progress\r\n"
        assert server.run("BGSAVE", "SCHEDULE") == b"-ERR Background save already in progress\r\n"
        assert server.run("BGREWRITEAOF") == b"+Background append only file rewriting scheduled\r\n"
        assert [info(server, f"aof_rewrite_{word}") for word in ("scheduled", "in_progress")] == ["1", "0"]
        assert info(server, "current_save_keys_total") == "30000"
        os.kill(child, signal.SIGCONT)
        while info(server, "aof_rewrite_in_progress") == "0":
            assert info(server, "aof_rewrites") == "0", "it has ended before it was seen"
        child = child_of(server)
        os.kill(child, signal.SIGSTOP)
        assert info(server, "rdb_bgsave_in_progress") == "0"
        assert server.run("BGREWRITEAOF") == b"-ERR Background append only file rewriting already in progress\r\n"
        assert server.run("BGSAVE").startswith(b"-ERR Another child process is active (AOF?): can't BGSAVE right now")
        assert server.run("BGSAVE", "SCHEDULE") == b"+Background saving scheduled\r\n"
        os.kill(child, signal.SIGCONT)
        await_info(server, "rdb_saves", "3")
        assert info(server, "aof_rewrites") == "1"
        assert server.stop() == 0


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server:
        fill_server(server)
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
        child = child_of(server)
        while len(os.listdir(f"/proc/{child}/fd")) > 2:
            pass  # it has not yet asked for its death, which comes before it closes what it does not need
        os.kill(child, signal.SIGSTOP)
        kill(server)
        deadline = time.monotonic() + kvcy_server.TIMEOUT_S
        while not is_gone(child):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with running(tmp_path, *NEVER) as server:
        assert server.run("DBSIZE") == b":0\r\n"


def test_a_shutdown_ends_the_child(tmp_path: Path) -> None:
    with running(tmp_path, *NEVER) as server:
        fill_server(server)
        assert server.run("BGSAVE") == b"+Background saving started\r\n"
        child = child_of(server)
        assert server.stop(signal.SIGTERM) == 0
        assert is_gone(child)
        assert "snapshot.new" not in names(tmp_path)


def test_with_a_log_the_child_has_one_moment_of_it(tmp_path: Path) -> None:
    one_moment(tmp_path, "BGSAVE", "--appendonly", "yes", *FORKED)


def test_without_a_log_threads_save_one_moment(tmp_path: Path) -> None:
    one_moment(tmp_path, "BGSAVE", "--snapshot-method", "thread")
