"""Long walks in slices: what other clients do in between, what ends them early, and what they promise even so."""

from __future__ import annotations

from collections import Counter

import pytest
import resp
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import collector_probe, sessions

SIZE = 3000


def names(*bounds: int) -> list[bytes]:
    return [b"key:%d" % index for index in range(*bounds)]


def bulks(reply: bytes) -> list[bytes]:
    """The strings of an array of bulk strings."""
    assert reply[:1] == b"*", reply[:50]
    return [element.split(b"\r\n", 1)[1][:-2] for element in resp.elements(reply.split(b"\r\n", 1)[1])]


class Pair:
    """A session that walks and another one, on one server whose clock stands still: so a slice is one step."""

    def __init__(self, size: int = SIZE) -> None:
        self.server = sessions.Server()
        self.walker = sessions.Probe(self.server)
        self.other = sessions.Probe(self.server)
        self.fill(names(size))

    def fill(self, keys: list[bytes]) -> None:
        if keys:
            assert self.other.execute(b"MSET", *(word for key in keys for word in (key, b"v"))) == b"+OK\r\n"

    def start(self, *command: bytes | str) -> None:
        """Run the first slice of a command that has more."""
        assert self.walker.feed(resp.encode(command), 1) == b""
        assert self.walker.state == "continuing"


def test_others_are_served_between_the_slices() -> None:
    pair = Pair()
    pair.start("KEYS", "*")
    turns = 1
    while pair.walker.state == "continuing":
        assert pair.other.execute("INCR", "turns") == b":%d\r\n" % turns
        reply = pair.walker.feed(b"", 1)
        turns += 1
    assert turns >= SIZE // 128
    assert set(bulks(reply)) - {b"turns"} == set(names(SIZE))
    assert pair.walker.state == "open"


def test_what_follows_in_the_pipeline_waits_its_turn() -> None:
    pair = Pair()
    pair.start("KEYS", "*")
    assert pair.walker.feed(b"PING\r\n", 1) == b""
    reply = pair.walker.feed()
    assert reply.endswith(b"\r\n+PONG\r\n")
    assert sorted(bulks(reply[: -len(b"+PONG\r\n")])) == sorted(names(SIZE))


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=40), st.sampled_from(["KEYS", "SCAN"]))
def test_what_stays_is_listed_exactly_once(steps: list[tuple[bool, int]], command: str) -> None:
    pair = Pair(1500)
    added = deleted = 0
    pair.start(*(["KEYS", "*"] if command == "KEYS" else ["SCAN", "0", "COUNT", "1000000"]))
    reply = b""
    for adding, size in steps:
        if adding:
            pair.fill([b"passing:%d" % index for index in range(added, added + size)])
            added += size
        elif deleted < added:
            pair.other.execute("DEL", *(b"passing:%d" % index for index in range(deleted, min(deleted + size, added))))
            deleted = min(deleted + size, added)
        if pair.walker.state == "continuing":
            reply += pair.walker.feed(b"", 1)
    reply += pair.walker.feed()
    if command == "SCAN":
        head, reply = resp.elements(reply.split(b"\r\n", 1)[1])
        assert head == b"$1\r\n0\r\n"
    counts = Counter(bulks(reply))
    assert {counts[key] for key in names(1500)} == {1}
    assert counts.keys() <= {*names(1500), *(b"passing:%d" % index for index in range(added))}


def test_flush_and_swap_in_between() -> None:
    pair = Pair()
    pair.start("KEYS", "*")
    assert pair.other.execute("FLUSHALL") == b"+OK\r\n"
    assert len(bulks(pair.walker.feed())) <= 128 + 16
    pair.fill(names(SIZE))
    pair.start("SCAN", "0", "COUNT", "100000")
    assert pair.other.execute("SWAPDB", "0", "1") == b"+OK\r\n"
    assert pair.walker.feed().startswith(b"*2\r\n$1\r\n0\r\n*1")
    assert pair.walker.execute("DBSIZE") == b":0\r\n"


def test_pattern_and_type_outlive_their_buffer() -> None:
    """The arguments are gone after the first slice; other bytes take their place."""
    pair = Pair()
    pair.start("SCAN", "0", "COUNT", "100000", "MATCH", "key:29*", "TYPE", "string")
    pair.walker.feed(b"x" * 500, 1)
    head, keys = resp.elements(pair.walker.feed().split(b"\r\n", 1)[1])
    expected = [key for key in names(SIZE) if key.startswith(b"key:29")]
    assert head == b"$1\r\n0\r\n"
    assert sorted(bulks(keys)) == sorted(expected)


def test_a_session_that_ends_leaves_nothing_behind() -> None:
    pair = Pair()
    held = collector_probe.held_bytes()
    pair.start("KEYS", "*")
    assert collector_probe.held_bytes() > held
    pair.walker.close()
    assert collector_probe.held_bytes() == held


@pytest.mark.parametrize("mode", ["OFF", "SKIP"])
def test_replies_that_are_not_wanted(mode: str) -> None:
    pair = Pair()
    pair.walker.execute("CLIENT", "REPLY", mode)
    pair.start("KEYS", "*")
    assert pair.walker.feed() == b""
    assert pair.walker.execute("PING") == (b"" if mode == "OFF" else b"+PONG\r\n")


def test_walk_in_a_transaction_is_one_step() -> None:
    pair = Pair()
    reply = pair.walker.feed(b"".join(map(resp.encode, [["MULTI"], ["KEYS", "*"], ["DBSIZE"], ["EXEC"]])), 1)
    assert reply.startswith(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*%d\r\n" % SIZE)
    assert reply.endswith(b":%d\r\n" % SIZE)


def test_walk_without_a_carrier_runs_to_its_end() -> None:
    pair = Pair()
    native, reply = pair.walker.call(b"KEYS", b"*")
    assert native
    assert sorted(bulks(reply)) == sorted(names(SIZE))


def test_walk_that_runs_out_of_memory() -> None:
    """Whichever allocation fails: an error or the end of the session, and nothing is left behind."""
    refused = 0
    for allowed in range(40):
        pair = Pair(1000)
        held = collector_probe.held_bytes()
        collector_probe.fail_after(allowed)
        reply = pair.walker.feed(resp.encode(["KEYS", "*"]))
        collector_probe.fail_never()
        if reply.startswith(b"-OOM "):
            refused += 1
        elif pair.walker.state == "open":
            assert sorted(bulks(reply)) == sorted(names(1000))
        else:
            assert pair.walker.state == "closing"
        pair.walker.close()
        assert collector_probe.held_bytes() == held
    assert refused
