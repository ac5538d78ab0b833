"""KEYS, SCAN and RANDOMKEY: what a walk promises while keys come and go, its options, and its errors."""

from __future__ import annotations

from collections import Counter

import pytest
import resp
import scripts
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import Runner
from session_runner import SessionRunner

SCRIPTS = {
    "keys": """
        keys * => []
        set key:1 a => +OK
        keys * => ["key:1"]
        keys key:? => ["key:1"]
        keys key:1 => ["key:1"]
        keys key: => []
        keys k[^e]y* => []
        keys "" => []
        set "" empty => +OK
        keys "" => [""]
        keys **y* => ["key:1"]
        keys => -ERR wrong number of arguments for 'keys' command
        keys a b => -ERR wrong number of arguments for 'keys' command
    """,
    "keys are those of the selected database, and alive": """
        set a 1 => +OK
        select 1 => +OK
        keys * => []
        keys a => []
        set b 1 => +OK
        keys * => ["b"]
        pexpireat b 1 => :1
        keys * => []
        keys b => []
        scan 0 count 1000 => ["0", []]
        randomkey => nil
    """,
    "scan": """
        scan 0 => ["0", []]
        set a 1 => +OK
        scan 0 count 100000 => ["0", ["a"]]
        scan 0 count 100000 match a* => ["0", ["a"]]
        scan 0 match b* count 100000 => ["0", []]
        scan 0 count 100000 type string => ["0", ["a"]]
        scan 0 count 100000 TYPE STRING MATCH * => ["0", ["a"]]
        scan 0 count 100000 type list => ["0", []]
        scan 0 count 100000 type foo => ["0", []]
        scan 0 match b count 5 match a count 100000 => ["0", ["a"]]
    """,
    "scan gone wrong": """
        scan x => -ERR invalid cursor
        scan 1x => -ERR invalid cursor
        scan 0x1 => -ERR invalid cursor
        scan " 1" => -ERR invalid cursor
        scan "1 " => -ERR invalid cursor
        scan 18446744073709551616 => -ERR invalid cursor
        scan 1a count 0 => -ERR invalid cursor
        scan 0 count 0 => -ERR syntax error
        scan 0 count -1 => -ERR syntax error
        scan 0 count x => -ERR value is not an integer or out of range
        scan 0 count 99999999999999999999 => -ERR value is not an integer or out of range
        scan 0 match => -ERR syntax error
        scan 0 foo 1 => -ERR syntax error
        scan 0 match x foo => -ERR syntax error
        scan => -ERR wrong number of arguments for 'scan' command
        scan 18446744073709551615 => ["0", []]
        scan "" count 100000 => ["0", []]
    """,
    "randomkey": """
        randomkey => nil
        set a 1 => +OK
        randomkey => "a"
        randomkey x => -ERR wrong number of arguments for 'randomkey' command
    """,
    "inside a transaction": """
        mset a 1 => +OK
        multi => +OK
        keys * => +QUEUED
        scan 0 count 100000 => +QUEUED
        keys a => +QUEUED
        randomkey => +QUEUED
        dbsize => +QUEUED
        exec => [["a"], ["0", ["a"]], ["a"], "a", :1]
    """,
}


@pytest.fixture
def runner() -> SessionRunner:
    return SessionRunner()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Runner, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def bulks(reply: bytes) -> list[bytes]:
    """The strings of an array of bulk strings."""
    assert reply[:1] == b"*", reply
    return [element.split(b"\r\n", 1)[1][:-2] for element in resp.elements(reply.split(b"\r\n", 1)[1])]


def scan(runner: Runner, cursor: bytes, *options: bytes) -> tuple[bytes, list[bytes]]:
    """One SCAN: the next cursor and the keys."""
    (reply,) = runner.run([[b"SCAN", cursor, *options]])
    head, keys = resp.elements(reply.split(b"\r\n", 1)[1])
    return head.split(b"\r\n")[1], bulks(keys)


def walk(runner: Runner, *options: bytes) -> list[bytes]:
    """A whole SCAN walk: all keys in the order in which they came."""
    cursor, found = scan(runner, b"0", *options)
    while cursor != b"0":
        cursor, more = scan(runner, cursor, *options)
        found += more
    return found


def fill(runner: Runner, names: list[bytes]) -> None:
    """Set keys, some hundreds at a time."""
    for first in range(0, len(names), 500):
        runner.run([[b"MSET", *(word for name in names[first : first + 500] for word in (name, b"v"))]])


def numbered(*bounds: int) -> list[bytes]:
    return [b"key:%d" % index for index in range(*bounds)]


@pytest.mark.parametrize("count", [1, 3, 10, 127, 1000, 100_000])
def test_walk_returns_every_key(runner: Runner, count: int) -> None:
    names = numbered(3000)
    fill(runner, names)
    found = walk(runner, b"COUNT", b"%d" % count)
    assert set(found) == set(names)


def test_count_bounds_a_portion(runner: Runner) -> None:
    fill(runner, numbered(5000))
    cursor, keys = scan(runner, b"0", b"COUNT", b"100")
    assert cursor != b"0"
    assert 50 <= len(keys) <= 200
    assert len(scan(runner, b"0")[1]) <= 50


def test_filters_only_hide(runner: Runner) -> None:
    fill(runner, numbered(2000))
    found = walk(runner, b"MATCH", b"key:1[5-7]*", b"COUNT", b"50")
    expected = {name for name in numbered(2000) if name[4:5] == b"1" and name[5:6] in (b"5", b"6", b"7")}
    assert set(found) == expected
    assert set(walk(runner, b"TYPE", b"string", b"COUNT", b"999")) == set(numbered(2000))
    assert walk(runner, b"TYPE", b"zset") == []


def test_keys_of_a_large_database(runner: Runner) -> None:
    """More than one slice, and a reply that is not copied."""
    names = numbered(30_000)
    fill(runner, names)
    every, some, none = runner.run([[b"KEYS", b"*"], [b"KEYS", b"key:29??"], [b"KEYS", b"no*"]])
    assert sorted(bulks(every)) == sorted(names)
    assert sorted(bulks(some)) == sorted(numbered(2900, 3000))
    assert bulks(none) == []


def test_a_long_walk_in_a_pipeline_keeps_the_order(runner: Runner) -> None:
    names = numbered(30_000)
    fill(runner, names)
    replies = runner.run(
        [[b"ECHO", b"first"], [b"KEYS", b"*"], [b"ECHO", b"second"], [b"SCAN", b"0", b"COUNT", b"99999"], [b"DBSIZE"]]
    )
    assert replies[0] == b"$5\r\nfirst\r\n"
    assert sorted(bulks(replies[1])) == sorted(names)
    assert replies[2] == b"$6\r\nsecond\r\n"
    assert replies[3].startswith(b"*2\r\n$1\r\n0\r\n*30000\r\n")
    assert replies[4] == b":30000\r\n"


def test_keys_of_every_length(runner: Runner) -> None:
    """In the entry, beside it, and so large that a reply refers to it."""
    names = [b"%d:" % size + b"k" * size for size in (0, 10, 1000, 1024, 1025, 5000, 16_384, 70_000, 300_000)]
    fill(runner, names)
    assert sorted(bulks(runner.run([[b"KEYS", b"*"]])[0])) == sorted(names)
    assert sorted(walk(runner, b"COUNT", b"1")) == sorted(names)
    assert bulks(runner.run([[b"KEYS", names[-1]]])[0]) == names[-1:]
    assert sorted(bulks(runner.run([[b"KEYS", b"*:kkkkk*"]])[0])) == sorted(names[1:])


def test_long_patterns(runner: Runner) -> None:
    fill(runner, [b"a" * 500, b"a" * 499 + b"b", b"a" * 400])
    for pattern in (b"*a" * 150 + b"b", b"a*" * 200 + b"b", b"?" * 499 + b"b", b"[a-b]" * 499 + b"[b]"):
        (reply,) = runner.run([[b"KEYS", pattern]])
        assert bulks(reply) == [b"a" * 499 + b"b"], pattern
        assert walk(runner, b"MATCH", pattern) == [b"a" * 499 + b"b"], pattern


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("scan"), st.integers(1, 60)),
        st.tuples(st.just("add"), st.integers(1, 400)),
        st.tuples(st.just("delete"), st.integers(1, 300)),
    ),
    min_size=1,
    max_size=30,
)


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.integers(0, 400), Steps)
def test_what_stays_is_returned_whatever_comes_and_goes(
    runner: Runner, stable_count: int, steps: list[tuple[str, int]]
) -> None:
    """Keys that are there from the walk's start to its end are returned; none is that never was."""
    runner.run([[b"SELECT", b"0"], [b"FLUSHALL"]])
    stable = [b"stable:%d" % index for index in range(stable_count)]
    fill(runner, stable)
    added = deleted = 0
    cursor, found = scan(runner, b"0", b"COUNT", b"1")
    for action, size in steps:
        if action == "add":
            fill(runner, [b"passing:%d" % index for index in range(added, added + size)])
            added += size
        elif action == "delete" and deleted < added:
            gone = range(deleted, min(deleted + size, added))
            runner.run([[b"DEL", *(b"passing:%d" % index for index in gone)]])
            deleted = gone.stop
        elif action == "scan" and cursor != b"0":
            cursor, more = scan(runner, cursor, b"COUNT", b"%d" % size)
            found += more
    while cursor != b"0":
        cursor, more = scan(runner, cursor, b"COUNT", b"100")
        found += more
    counts = Counter(found)
    assert [name for name in stable if not counts[name]] == []
    assert counts.keys() <= {*stable, *(b"passing:%d" % index for index in range(added))}


def test_random_keys_are_spread(runner: Runner) -> None:
    """Each of 20 keys comes up about as often in 2000 draws (a fair one has 40 of 100 once in 10^10 runs)."""
    names = numbered(20)
    fill(runner, names)
    replies = Counter(runner.run([[b"RANDOMKEY"]] * 2000))
    assert replies.keys() == {b"$%d\r\n%s\r\n" % (len(name), name) for name in names}
    assert min(replies.values()) >= 40
