"""SCAN with a prefix goes by the ordered index where there is one; its cursor promises what it always does."""

from __future__ import annotations

from collections import Counter

import kvcy_server
import pytest
import resp
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from session_runner import SessionRunner
from test_scan import bulks, fill, scan, walk

COMMON = [b"user:%d" % number for number in range(6000)]
RARE = [b"rare:%d" % number for number in range(40)] + [b"\xff\xff%d" % number for number in range(5)]


def index(runner: SessionRunner) -> None:
    runner.run([["KCOUNT", "-", "+"]])


@pytest.fixture(scope="module", params=["without an index", "with one", "with one from the beginning"])
def filled(request: pytest.FixtureRequest) -> SessionRunner:
    runner = SessionRunner()
    if request.param == "with one from the beginning":
        fill(runner, COMMON[:100])
        index(runner)
    fill(runner, COMMON + RARE)
    if request.param == "with one":
        index(runner)
    return runner


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"rare:*", RARE[:40]),
        (b"rare:?", RARE[:10]),
        (b"rare:[12]?", RARE[10:30]),
        (b"rare:3", RARE[3:4]),
        (b"rare\\:3*", [RARE[3], *RARE[30:40]]),
        (b"r*:7", RARE[7:8]),
        (b"\xff*", RARE[40:]),
        (b"\xff\xff3*", RARE[43:44]),
        (b"s*", []),
        (b"zzz*", []),
        (b"rare:" + b"x" * 100 + b"*", []),
        (b"user:12*", [name for name in COMMON if name.startswith(b"user:12")]),
        (b"user:*", COMMON),
        (b"*", COMMON + RARE),
        (b"*:7", [b"user:7", b"rare:7"]),
    ],
)
@pytest.mark.parametrize("count", [b"1", b"10", b"5000"])
def test_it_finds_what_matches_once(
    filled: SessionRunner, pattern: bytes, expected: list[bytes], count: bytes
) -> None:
    assert sorted(walk(filled, b"MATCH", pattern, b"COUNT", count)) == sorted(expected)


def test_types_and_expired_keys_are_left_out() -> None:
    runner = SessionRunner()
    fill(runner, COMMON[:1000] + RARE)
    index(runner)
    runner.run([["PEXPIRE", "rare:1", "5"], ["PEXPIRE", "rare:2", "5000"]])
    runner.server.now_ms += 10
    found = walk(runner, b"MATCH", b"rare:*", b"TYPE", b"string")
    assert sorted(found) == sorted(set(RARE[:40]) - {b"rare:1"})
    assert walk(runner, b"MATCH", b"rare:*", b"TYPE", b"list") == []


def portions(runner: SessionRunner, *options: bytes) -> list[int]:
    """How many keys came in each portion of a walk."""
    sizes = []
    cursor = b"0"
    while cursor != b"0" or not sizes:
        cursor, keys = scan(runner, cursor, *options)
        sizes.append(len(keys))
    return sizes


def test_a_rare_prefix_is_found_at_once_and_a_common_one_in_portions() -> None:
    runner = SessionRunner()
    fill(runner, COMMON + RARE)
    assert len(portions(runner, b"MATCH", b"rare:*")) > 100
    index(runner)
    rare = portions(runner, b"MATCH", b"rare:*")
    assert sum(rare) == 40
    assert len(rare) <= 4  # the shards
    common = portions(runner, b"MATCH", b"user:*")
    assert len(common) > 100
    assert max(common) <= 40


def test_an_index_that_comes_in_the_middle_of_a_walk() -> None:
    runner = SessionRunner()
    fill(runner, COMMON[:2000] + RARE)
    for calls in range(1, 240, 7):
        runner.run([["FLUSHALL"]])
        fill(runner, COMMON[:2000] + RARE)
        cursor, found = scan(runner, b"0", b"MATCH", b"rare:*")
        for _ in range(calls):
            if cursor != b"0":
                cursor, more = scan(runner, cursor, b"MATCH", b"rare:*")
                found += more
        index(runner)
        while cursor != b"0":
            cursor, more = scan(runner, cursor, b"MATCH", b"rare:*")
            found += more
        assert sorted(found) == sorted(RARE[:40])


Steps = st.lists(
    st.tuples(st.sampled_from(["scan", "scan", "add", "delete", "index", "flush another"]), st.integers(1, 300)),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 1500), st.integers(0, 1500), Steps)
def test_what_stays_is_returned_once_whatever_comes_and_goes(
    stable_count: int, others: int, steps: list[tuple[str, int]]
) -> None:
    runner = SessionRunner()
    stable = [b"a:stable:%d" % number for number in range(stable_count)]
    fill(runner, stable + [b"b:%d" % number for number in range(others)])
    options = (b"MATCH", b"a:*", b"COUNT")
    added = deleted = 0
    cursor, found = scan(runner, b"0", *options, b"1")
    for action, size in steps:
        if action == "add":
            fill(runner, [b"a:passing:%d" % number for number in range(added, added + size)])
            added += size
        elif action == "delete" and deleted < added:
            gone = range(deleted, min(deleted + size, added))
            runner.run([[b"DEL", *(b"a:passing:%d" % number for number in gone)]])
            deleted = gone.stop
        elif action == "index":
            index(runner)
        elif action == "flush another":
            runner.run([["SELECT", "1"], ["FLUSHDB"], ["SELECT", "0"]])
        elif action == "scan" and cursor != b"0":
            cursor, more = scan(runner, cursor, *options, b"%d" % size)
            found += more
    while cursor != b"0":
        cursor, more = scan(runner, cursor, *options, b"7")
        found += more
    counts = Counter(found)
    assert all(counts[name] == 1 for name in stable)
    assert counts.keys() <= {*stable, *(b"a:passing:%d" % number for number in range(added))}


def test_inside_a_transaction() -> None:
    runner = SessionRunner()
    fill(runner, COMMON[:500] + RARE)
    index(runner)
    replies = runner.run([["MULTI"], ["SCAN", "0", "MATCH", "rare:*", "COUNT", "1000"], ["EXEC"]])
    (answer,) = resp.elements(replies[2].split(b"\r\n", 1)[1])
    assert sorted(bulks(resp.elements(answer.split(b"\r\n", 1)[1])[1])) == sorted(RARE[:40])


def test_info_tells_of_the_index() -> None:
    with kvcy_server.running("--appendonly", "no", "--save", "") as server, server.connect() as client:
        assert b"ordered_index_db" not in client.run("INFO", "memory")
        client.run("MSET", *(word for name in COMMON[:3000] for word in (name, b"v")))
        client.run("KCOUNT", "-", "+")
        fields = dict(line.split(b":", 1) for line in client.run("INFO", "memory").split(b"\r\n") if b":" in line)
        told = dict(part.split(b"=") for part in fields[b"ordered_index_db0"].split(b","))
        assert (told[b"keys"], told[b"complete"]) == (b"3000", b"1")
        assert int(told[b"bytes"]) > 3000 * 9
