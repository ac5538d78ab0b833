"""Histories of concurrent clients are linearizable; and the checker says so of good histories only.

The long form: KVCY_HISTORIES=1000 (of each kind; a third of them over deaths).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import kvcy_server
import pytest
from examples import examples
from histories import Recorder
from hypothesis import given, settings
from hypothesis import strategies as st
from kvcy_server import Client, Server
from linearizability import EMPTY, Operation, State, check, outcomes, outcomes_with_eviction

from kvcy.engine.directory import Directory, Manifest

HISTORIES = int(os.environ.get("KVCY_HISTORIES", "10"))
TCP_CLIENTS, UNIX_CLIENTS = 4, 2
OPERATIONS = 150
SEGMENT_BYTES = 65536


def history(*lines: str) -> list[Operation]:
    """A history from lines of begin, end, the commands, and the reply, or ?: "0 3 SET a 1 -> +OK"."""
    operations = []
    for line in lines:
        asked, _, replied = line.partition(" -> ")
        begin, end, text = asked.split(" ", 2)
        commands = tuple(tuple(command.encode().split()) for command in text.split("; "))
        reply = None if replied == "?" else replied.replace(" ", "\r\n").encode() + b"\r\n"
        operations.append(Operation(commands, int(begin), int(end), reply, len(commands) > 1))
    return operations


def swap(begin: int, end: int, old: bytes, new: bytes, reply: bytes) -> Operation:
    """The key was watched, read as `old`, and set in a transaction."""
    return Operation(((b"SET", b"a", new),), begin, end, reply, transaction=True, expected=b"*1\r\n" + old)


GOOD = [
    history(),
    history("0 1 SET a 1 -> +OK", "2 3 GET a -> $1 1"),
    history("0 3 SET a 1 -> +OK", "1 2 GET a -> $-1"),
    history("0 3 SET a 1 -> +OK", "1 2 GET a -> $1 1"),
    history("0 9 SET a 1 -> +OK", "1 2 GET a -> $-1", "3 4 GET a -> $1 1"),
    history("0 3 INCR a -> :2", "1 2 INCR a -> :1"),
    history("0 9 SET a 1 -> +OK", "1 8 SET a 2 -> +OK", "2 3 GET a -> $1 2", "4 5 GET a -> $1 1"),
    history("0 9 MSET a 1 b 2 -> +OK", "1 2 MGET a b -> *2 $-1 $-1", "3 4 MGET a b -> *2 $1 1 $1 2"),
    history("0 9 SET a 1 -> ?", "1 2 GET a -> $-1", "3 4 GET a -> $1 1"),
    history("0 9 SET a 1 -> ?", "1 2 GET a -> $-1", "10 11 GET a -> $1 1"),
    history("0 9 SET a 1 -> ?", "10 11 GET a -> $-1"),
    history("0 9 INCR a; INCR a -> *2 :1 :2", "1 2 GET a -> $1 2"),
    [*history("0 1 SET a 1 -> +OK"), swap(2, 3, b"$1\r\n1\r\n", b"2", b"*1\r\n+OK\r\n"), *history("4 5 GET a -> $1 2")],
    [*history("0 1 SET a 1 -> +OK"), swap(2, 3, b"$-1\r\n", b"2", b"*-1\r\n"), *history("4 5 GET a -> $1 1")],
    history("0 1 MSET crowd 1 -> +OK", f"2 3 MGET sample a -> *7{' $1 1' * 6} $-1", "4 5 DEL crowd a -> :1500"),
    history("0 1 MSET crowd 1 -> +OK", "2 3 DEL sample a -> :6", "4 5 DEL crowd a -> :1494"),
    history("0 9 MSET a 1 crowd 2 -> +OK", f"1 2 MGET a sample -> *7 $1 1{' $1 2' * 6}", "3 4 DEL crowd -> :1500"),
]
BAD = [
    history("0 1 SET a 1 -> +OK", "2 3 GET a -> $-1"),
    history("0 1 GET a -> $1 1", "2 3 SET a 1 -> +OK"),
    history("0 3 INCR a -> :1", "1 2 INCR a -> :1"),
    history("0 9 SET a 1 -> +OK", "1 2 GET a -> $1 1", "3 4 GET a -> $-1"),
    history("0 1 SET a 1 -> +OK", "2 3 SET a 2 -> +OK", "4 9 GET a -> $1 1"),
    history("0 9 MSET a 1 b 2 -> +OK", "1 2 MGET a b -> *2 $1 1 $-1"),
    history("0 9 MSET a 1 b 2 -> +OK", "1 2 GET a -> $1 1", "3 4 GET b -> $-1"),
    history("0 9 SET a 1 -> ?", "1 2 GET a -> $1 1", "3 4 GET a -> $-1"),
    history("0 9 SET a 1 -> ?", "10 11 GET a -> $-1", "12 13 GET a -> $1 1"),
    history("0 9 INCR a; INCR a -> *2 :1 :2", "1 2 GET a -> $1 1"),
    history("0 1 SET a 1 -> +OK", "2 9 RENAME a b -> +OK", "3 4 MGET a b -> *2 $1 1 $1 1"),
    history("0 9 SET a 1 -> +OK", "1 8 SET b 1 -> +OK", "2 3 MGET a b -> *2 $1 1 $-1", "4 5 MGET a b -> *2 $-1 $1 1"),
    [swap(0, 9, b"$-1\r\n", b"1", b"*1\r\n+OK\r\n"), swap(1, 8, b"$-1\r\n", b"2", b"*1\r\n+OK\r\n")],
    [*history("0 1 SET a 1 -> +OK"), swap(2, 3, b"$-1\r\n", b"2", b"*1\r\n+OK\r\n")],
    history("0 9 MSET crowd 1 -> +OK", f"1 2 MGET sample -> *6{' $-1' * 5} $1 1", f"3 4 MGET sample -> *6{' $-1' * 6}"),
    history("0 9 MSET crowd 1 a 1 -> +OK", f"1 2 MGET sample a -> *7{' $1 1' * 6} $-1", "3 4 GET a -> $-1"),
    history("0 1 MSET crowd 1 -> +OK", "2 3 DEL sample -> :6", "4 5 DEL crowd -> :1500"),
]


@pytest.mark.parametrize("good", GOOD, ids=range(len(GOOD)))
def test_good_histories_pass(good: list[Operation]) -> None:
    assert check(good) is None
    assert check(good, model=outcomes_with_eviction) is None


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_bad_histories_do_not(bad: list[Operation]) -> None:
    assert "no moment for" in (check(bad) or "")


def test_what_was_evicted_is_gone() -> None:
    gone = history("0 1 SET a 1 -> +OK", "2 3 GET a -> $-1")
    assert check(gone, model=outcomes_with_eviction) is None
    assert check([*gone, *history("4 5 GET a -> $1 1")], model=outcomes_with_eviction)
    some = history("0 1 MSET crowd 1 -> +OK", f"2 3 MGET sample a -> *7{' $1 1' * 5} $-1 $-1")
    counted = history("4 5 DEL a crowd -> :7", "6 7 DEL crowd -> :0")
    assert check([*some, *counted], model=outcomes_with_eviction) is None
    assert check([*some, *history("4 5 DEL a crowd -> :1500")], model=outcomes_with_eviction)
    assert check([*some, *history(f"4 5 MGET sample -> *6{' $1 1' * 6}")], model=outcomes_with_eviction)


def possible(operations: list[Operation], state: State) -> bool:
    """Linearizability by its definition: some order explains all replies."""
    first_end = min((operation.end for operation in operations), default=0)
    return not operations or any(
        possible([other for other in operations if other is not operation], after)
        for operation in operations
        if operation.begin < first_end
        for after in outcomes(state, operation)
    )


@st.composite
def small_histories(draw: st.DrawFn) -> list[Operation]:
    """A few short operations with replies that may be right."""
    count = draw(st.integers(1, 6))
    moments = draw(st.permutations(range(2 * count)))
    made = []
    for begin, end in zip(*[iter(moments)] * 2, strict=True):
        command, replies = draw(
            st.sampled_from(
                [
                    ((b"SET", b"a", b"1"), [b"+OK\r\n"]),
                    ((b"SET", b"a", b"2"), [b"+OK\r\n"]),
                    ((b"GET", b"a"), [b"$-1\r\n", b"$1\r\n1\r\n", b"$1\r\n2\r\n"]),
                    ((b"INCR", b"a"), [b":1\r\n", b":2\r\n", b":3\r\n"]),
                    ((b"DEL", b"a"), [b":0\r\n", b":1\r\n"]),
                ]
            )
        )
        reply = draw(st.sampled_from([*replies, None]))
        begin, end = min(begin, end), max(begin, end)
        made.append(Operation((command,), begin, end, reply))
    return made


@settings(max_examples=examples(300))
@given(small_histories())
def test_the_checker_agrees_with_the_definition(operations: list[Operation]) -> None:
    assert (check(operations) is None) == possible(operations, EMPTY)


# --- of a server


@contextlib.contextmanager
def connected(server: Server) -> Iterator[list[Client]]:
    """Clients of all reactors, and of the trio path."""
    with contextlib.ExitStack() as stack:
        clients = [server.connect() for _ in range(TCP_CLIENTS)] + [server.connect_unix() for _ in range(UNIX_CLIENTS)]
        for client in clients:
            stack.enter_context(client)
        yield clients


def running(directory: Path, *options: str) -> contextlib.AbstractContextManager[Server]:
    return kvcy_server.running("--dir", str(directory), "--io-threads", "3", *options)


def begin_saving(client: Client) -> None:
    """Asks for a snapshot. The server may have died before."""
    with contextlib.suppress(ConnectionError):
        client.send(["BGSAVE"])


def in_small_segments(directory: Path) -> None:
    """Makes the data directory one whose log's segments are small."""
    with Directory(directory) as made:
        made.write_manifest(Manifest.drawn(64, SEGMENT_BYTES))


def test_concurrent_clients(tmp_path: Path) -> None:
    with running(tmp_path, "--appendonly", "no") as server, connected(server) as clients:
        for seed in range(HISTORIES):
            assert server.run("FLUSHALL") == b"+OK\r\n"
            recorder = Recorder(seed)
            recorder.drive(clients, OPERATIONS)
            assert len(recorder.history) == OPERATIONS
            assert check(recorder.history) is None


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_while_snapshots_are_written_and_segments_change(tmp_path: Path, policy: str) -> None:
    in_small_segments(tmp_path)
    options = ["--appendonly", "yes", "--appendfsync", policy]
    with running(tmp_path, *options) as server, connected(server) as clients, server.connect() as other:
        for seed in range(HISTORIES):
            assert server.run("FLUSHALL") == b"+OK\r\n"
            recorder = Recorder(seed)
            save, fill = partial(begin_saving, other), partial(other.send, filling(seed))
            recorder.drive(clients, OPERATIONS, {OPERATIONS // 4: save, OPERATIONS // 2: fill})
            assert other.read().startswith((b"+Background saving started", b"-ERR Background save already in progress"))
            assert other.read() == b"+OK\r\n"
            assert check(recorder.history) is None


def filling(seed: int) -> list[str]:
    """A write that a segment has not much room for."""
    return ["SET", "other", str(seed % 10) * (SEGMENT_BYTES // 2)]


# So little memory that the large values of others leave no room for the histories' keys, for a while.
EVICTING = ("--maxmemory", "3mb")
POLICIES = ("allkeys-random", "allkeys-lru", "allkeys-s3fifo", "allkeys-tinylfu", "allkeys-sieve")
OTHERS, OTHER_BYTES = 40, 100_000


def press(client: Client) -> None:
    """Others' values, which have keys evicted. The server may have died before."""
    with contextlib.suppress(ConnectionError):
        client.send(*(["SET", f"other:{number}", "v" * OTHER_BYTES] for number in range(OTHERS)))


def evicted_keys(server: Server) -> int:
    found = re.search(rb"evicted_keys:(\d+)", server.run("INFO", "stats"))
    assert found
    return int(found[1])


def test_while_keys_are_evicted(tmp_path: Path) -> None:
    """What is evicted is gone for all at one moment, and WATCH sees it."""
    with (
        running(tmp_path, "--appendonly", "no", *EVICTING) as server,
        connected(server) as clients,
        server.connect() as other,
    ):
        for seed in range(HISTORIES):
            assert server.run("CONFIG", "SET", "maxmemory-policy", POLICIES[seed % len(POLICIES)]) == b"+OK\r\n"
            assert server.run("FLUSHALL") == b"+OK\r\n"
            before = evicted_keys(server)
            crowds = range(10, OPERATIONS, 10)
            recorder = Recorder(seed)
            recorder.drive(clients, OPERATIONS, dict.fromkeys(crowds, partial(press, other)))
            assert [other.read() for _ in range(OTHERS * len(crowds))] == [b"+OK\r\n"] * OTHERS * len(crowds)
            assert len(recorder.history) == OPERATIONS
            assert check(recorder.history, model=outcomes_with_eviction) is None
            assert evicted_keys(server) > before


@pytest.mark.timeout(0)
@pytest.mark.parametrize("evicts", [False, True], ids=["kept", "evicted"])
def test_over_the_death_of_the_server(tmp_path: Path, evicts: bool) -> None:
    """What was acknowledged, and what was ever seen by a reader, is there after a kill; the rest is, or is not.

    Snapshots are written meanwhile, and segments change. What was evicted, and seen to be gone, stays gone.
    """
    for seed in range(HISTORIES // 3):
        recorder, random = Recorder(seed), Random(seed)
        directory = tmp_path / str(seed)
        directory.mkdir()
        in_small_segments(directory)
        always = ["--appendonly", "yes", "--appendfsync", "always"]
        always += [*EVICTING, "--maxmemory-policy", POLICIES[seed % len(POLICIES)]] if evicts else []
        for life in itertools.count():
            with running(directory, *always) as server, connected(server) as clients, server.connect() as other:
                if life == 2:
                    recorder.drive(clients, 20)
                    break
                dies = random.randint(5, OPERATIONS)
                at = dict.fromkeys(range(5, dies, 40), partial(press, other)) if evicts else {}
                at[random.randint(1, dies)] = partial(begin_saving, other)
                recorder.drive(clients, OPERATIONS, {**at, dies: server.process.kill})
        assert check(recorder.history, model=outcomes_with_eviction if evicts else outcomes) is None
        shutil.rmtree(directory)
