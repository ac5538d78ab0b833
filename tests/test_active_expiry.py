"""Keys go when they expire, untouched: in the keyspace with a clock of its own, and in a server."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import kvcy_server
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from kvcy_server import Client
from test_keyspace import Model, operations, step, value_of

from probes.keyspace_probe import Keys, Watching
from probes.wheel_probe import NEVER

START_MS = 1_000_000
LARGE = value_of(5000, 1)
WAIT_S = 60


def put(keys: Keys, name: bytes = b"k", after_ms: int = 80) -> None:
    assert keys.put(name, b"v", START_MS + after_ms) == "ok"


WAYS: dict[str, tuple[Callable[[Keys], object], int, int]] = {
    # what is done to keys; when the last of them expires, in ms (0: never); in which database
    "as it was": (put, 80, 0),
    "set over it, later": (lambda keys: (put(keys), put(keys, after_ms=800)), 800, 0),
    "set over it, earlier": (lambda keys: (put(keys, after_ms=800_000), put(keys)), 80, 0),
    "set over it, larger": (lambda keys: (put(keys), keys.put(b"k", LARGE, START_MS + 160)), 160, 0),
    "set over it, larger and earlier": (lambda keys: (put(keys), keys.put(b"k", LARGE, START_MS + 16)), 16, 0),
    "set over it, for ever": (lambda keys: (put(keys), keys.put(b"k", b"v")), 0, 0),
    "given an expiry": (lambda keys: (keys.put(b"k", b"v"), keys.expire_at(b"k", START_MS + 80)), 80, 0),
    "expires later": (lambda keys: (put(keys), keys.expire_at(b"k", START_MS + 90_000)), 90_000, 0),
    "expires earlier": (lambda keys: (put(keys, after_ms=90_000), keys.expire_at(b"k", START_MS + 8)), 8, 0),
    "persists": (lambda keys: (put(keys), keys.expire_at(b"k", 0)), 0, 0),
    "keeps its expiry": (lambda keys: (put(keys), keys.put(b"k", LARGE, -1)), 80, 0),
    "grows": (lambda keys: (put(keys), [keys.splice(b"k", size, b"x" * 50) for size in range(1, 4000, 50)]), 80, 0),
    "renamed": (lambda keys: (put(keys), keys.rename(b"k", b"other")), 80, 0),
    "renamed over another": (lambda keys: (put(keys, b"a", 8000), put(keys), keys.rename(b"k", b"a")), 80, 0),
    "copied": (lambda keys: (put(keys), keys.copy(b"k", b"other"), keys.delete(b"k")), 80, 0),
    "moved": (lambda keys: (put(keys), keys.rename(b"k", b"k", 0, 3)), 80, 3),
    "swapped": (lambda keys: (put(keys), keys.swap(0, 3)), 80, 3),
    "flushed, and there again": (lambda keys: (put(keys, after_ms=8), keys.flush(0), put(keys)), 80, 0),
    "a long name": (lambda keys: put(keys, b"k" * 3000), 80, 0),
}


@pytest.mark.parametrize("way", WAYS)
def test_goes_at_its_time(way: str) -> None:
    """Not a tick too early, and at the first tick not before its expiry."""
    change, after_ms, database = WAYS[way]
    keys = Keys(4)
    change(keys)
    if not after_ms:
        keys.now_ms = START_MS + 10_000_000
        assert keys.expire_due() == NEVER
        assert keys.count(database) == (1, 0)
        return
    keys.now_ms = START_MS + after_ms - 1
    assert keys.now_ms < keys.expire_due() <= START_MS + after_ms + 7
    assert keys.count(database) == (1, 1)
    keys.now_ms = START_MS + after_ms + 7
    assert keys.expire_due() == NEVER
    assert keys.count(database) == (0, 0)
    assert keys.expired() == (1, 7)


@settings(max_examples=examples(300), deadline=None)
@given(operations, st.sampled_from([1, 4, 64]), st.lists(st.integers(0, 60), min_size=60, max_size=60))
def test_whatever_was_done_to_them(script: list[tuple], shards: int, when: list[int]) -> None:
    """After any operations, what a dict says has expired is gone, without anybody asking for it."""
    keys, model = Keys(shards), Model()
    for operation, number in zip(script, when, strict=False):
        step(keys, model, operation)
        if number < 15:
            keys.expire_due()
    for after_ms in (0, 4, 60, 11_000):
        model.now_ms += after_ms
        keys.now_ms = model.now_ms = (model.now_ms + 7) // 8 * 8
        keys.expire_due()
        keys.now_ms = model.now_ms = model.now_ms + 8
        wake_ms = keys.expire_due()
        assert wake_ms > model.now_ms
        for database in range(2):
            live = model.live(database)
            assert keys.count(database) == (len(live), sum(expire != 0 for _, expire in live.values()))
            assert sorted(keys.all_keys(database)) == sorted(live)
    assert wake_ms == NEVER


def test_compaction_takes_them_along() -> None:
    keys = Keys(1)
    names = [b"key:%d" % number for number in range(20_000)]
    for number, name in enumerate(names):
        assert keys.put(name, b"v" * 40, START_MS + 1000 + number) == "ok"
    for number, name in enumerate(names):
        if number % 8:
            assert keys.delete(name)
    before = keys.memory()
    while keys.upkeep(8):
        pass
    assert keys.memory() < before
    for passed in (5000, 12_000, 19_000):
        keys.now_ms = (START_MS + 1000 + passed) // 8 * 8
        keys.expire_due()
        left = sum(START_MS + 1000 + number > keys.now_ms for number in range(0, 20_000, 8))
        assert keys.count() == (left, left)
    assert left


def test_watchers_learn_of_it_and_it_is_counted() -> None:
    keys = Keys(4)
    watching, other = Watching(keys), Watching(keys)
    put(keys)
    put(keys, b"other", 9000)
    assert watching.watch(b"k") and other.watch(b"other")
    dirty = keys.dirty()
    keys.now_ms = START_MS + 800
    keys.expire_due()
    assert keys.dirty() == dirty + 1
    assert watching.broken() and not other.broken()
    watching.clear()
    other.clear()


def test_the_wheel_is_counted_and_given_back() -> None:
    keys = Keys(1)
    assert keys.put(b"lasting", b"v") == "ok"
    before = keys.memory()
    put(keys)
    assert keys.memory() > before  # the wheel is counted
    keys.flush()
    while keys.upkeep(8):
        pass
    assert keys.memory() < before


def field(client: Client, name: str) -> int:
    found = re.search(rf"^{name}:(\d+)\r$", client.run("INFO", "everything").decode(), re.MULTILINE)
    assert found, name
    return int(found[1])


def await_empty(client: Client) -> None:
    """Nobody touches a key: DBSIZE only counts."""
    end = time.monotonic() + WAIT_S
    while client.run("DBSIZE") != b":0\r\n":
        assert time.monotonic() < end, client.run("DBSIZE")


def test_a_server_is_empty_by_itself(tmp_path: Path) -> None:
    with (
        kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "no") as server,
        server.connect() as client,
    ):
        for number in range(500):
            client.send(["SET", f"key:{number}", "v", "PX", str(200 + number % 7)])
        assert [client.read() for _ in range(500)] == [b"+OK\r\n"] * 500
        await_empty(client)
        assert field(client, "expired_keys") == 500
        assert field(client, "expired_time_cap_reached_count") == 0
        assert field(client, "wal_records") == 1000  # a put and a deletion each
        assert field(client, "expire_lag_ms_last") <= field(client, "expire_lag_ms_max")
        assert server.stop() == 0
    with kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes") as server, server.connect() as client:
        assert client.run("DBSIZE") == b":0\r\n"
        assert field(client, "expired_keys") == 0  # the log had the deletions


def test_what_expired_while_the_server_was_down(tmp_path: Path) -> None:
    with (
        kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always") as server,
        server.connect() as client,
    ):
        expire_ms = int(time.time() * 1000) + 1500
        for number in range(200):
            client.send(["SET", f"key:{number}", "v", "PXAT", str(expire_ms)])
        assert [client.read() for _ in range(200)] == [b"+OK\r\n"] * 200
        client.run("SET", "lasting", "v")
        server.stop(signal.SIGKILL)
    with kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes") as server, server.connect() as client:
        end = time.monotonic() + WAIT_S
        while client.run("DBSIZE") != b":1\r\n":
            assert time.monotonic() < end
        assert field(client, "expired_keys") == 200
