"""MSET and MSETNX change all their keys or none, wherever memory ends; so do RENAME and COPY."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from local import NOW_MS, Local
from test_strings_memory import OUT_OF_MEMORY

import kvcy
from probes import arena_probe

SMALL, OTHER, INLINE, APART = b"s" * 20, b"t" * 20, b"i" * 900, b"a" * 50_000
OLD = {"missing": None, "small": SMALL, "inline": INLINE, "apart": APART}


def words(*parts: object) -> list[bytes]:
    return [part if isinstance(part, bytes) else str(part).encode() for part in parts]


def state(local: Local, keys: list[str]) -> list[bytes]:
    return local.run([command for key in keys for command in (["GET", key], ["PEXPIRETIME", key])])


def fail_everywhere(local: Local, command: list[bytes], keys: list[str]) -> int:
    """Runs the command with no allocation, with one, ... until it succeeds; how often it failed, changing nothing."""
    before = state(local, keys)
    failures = 0
    local.handlers.out_of_memory = True
    while True:
        local.handlers.allocations = failures
        reply = local.command(*command)
        if reply[:1] != b"-":
            break
        assert reply == OUT_OF_MEMORY
        local.handlers.out_of_memory = False
        assert state(local, keys) == before
        local.handlers.out_of_memory = True
        failures += 1
    local.handlers.out_of_memory = False
    return failures


@pytest.mark.parametrize("second", OLD)
@pytest.mark.parametrize("first", OLD)
@pytest.mark.parametrize("lasting", [True, False])
def test_mset_changes_all_or_nothing(first: str, second: str, lasting: bool) -> None:
    local = Local()
    for key, old in (("a", OLD[first]), ("b", OLD[second])):
        if old is not None:
            local.command("SET", key, old, *([] if lasting else ["PXAT", str(NOW_MS + 5000)]))
    keys = ["a", "b", "c", "d"]
    new = [INLINE + b"1", APART + b"2", SMALL, OTHER, APART]
    command = words("MSET", "a", new[0], "b", new[1], "c", new[2], "d", new[3], "a", new[4])
    assert fail_everywhere(local, command, keys) >= 3
    assert len(local.handlers) == 4
    assert local.run([["MGET", *keys], ["TTL", "a"], ["TTL", "b"]]) == [
        b"*4\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(value), value) for value in (new[4], new[1], new[2], new[3])),
        *(b":-1\r\n", b":-1\r\n"),
    ]


def test_msetnx_sets_all_or_nothing() -> None:
    local = Local()
    local.command("SET", "a", "old", "PXAT", str(NOW_MS + 1))
    local.handlers.now_ms = NOW_MS + 1               # has expired: no obstacle, and gone for good
    failures = fail_everywhere(local, words("MSETNX", "a", APART, "b", INLINE, "c", APART), ["a", "b", "c"])
    assert failures >= 3
    assert len(local.handlers) == 3
    assert local.run([["STRLEN", "a"], ["STRLEN", "b"]]) == [b":50000\r\n", b":900\r\n"]


def test_overwriting_with_what_fits_needs_no_memory() -> None:
    local = Local()
    local.run([["MSET", "a", SMALL, "b", APART], ["SET", "c", SMALL]])
    assert fail_everywhere(local, words("MSET", "a", OTHER, "b", APART[::-1], "a", SMALL[::-1]), ["a", "b", "c"]) == 0
    assert local.run([["GET", "a"], ["STRLEN", "b"]]) == [b"$20\r\n%s\r\n" % SMALL[::-1], b":50000\r\n"]


@pytest.mark.parametrize("command", [["RENAME", "a", "b"], ["COPY", "a", "b", "REPLACE"]], ids=lambda words: words[0])
def test_rename_and_copy_change_all_or_nothing(command: list[str]) -> None:
    local = Local()
    local.run([["SET", "a", INLINE], ["SET", "b", SMALL, "PXAT", str(NOW_MS + 5000)]])
    for number in range(1000):                        # until the size class has no free cell left in its pages
        local.command("SET", f"fill:{number}", INLINE)
        if fail_everywhere(local, words(*command), ["a", "b"]):
            break
        local.run([["SET", "a", INLINE], ["SET", "b", SMALL, "PXAT", str(NOW_MS + 5000)]])
    else:
        pytest.fail("memory never ended")
    assert local.command("GET", "b") == b"$900\r\n%s\r\n" % INLINE


def test_failure_leaves_no_trace_in_the_log(tmp_path: Path) -> None:
    """What the log holds is what the store held, whatever failed on the way."""
    source = random.Random(11)
    keys = [f"key:{number}" for number in range(30)]
    failures = 0
    with kvcy.open(tmp_path) as store:
        store.execute("PING")                         # has the memory for its reply from now on
        for number in range(300):
            pairs = [part for key in source.sample(keys, 6) for part in (key, bytes(source.choice((5, 500, 40_000))))]
            before = {key: store.get(key.encode()) for key in keys}
            arena_probe.fail_after(number % 12)
            try:
                store.execute(source.choice(("MSET", "MSETNX")), *pairs)
            except kvcy.ReplyError as error:
                assert str(error).startswith("OOM")
                failures += 1
                arena_probe.fail_never()
                assert {key: store.get(key.encode()) for key in keys} == before
            finally:
                arena_probe.fail_never()
            store.delete(source.choice(keys).encode())
        expected = dict(store)
    assert failures >= 30
    with kvcy.open(tmp_path) as store:
        assert dict(store) == expected
