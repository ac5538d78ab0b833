"""String and expiry commands that find no memory: one error reply, and nothing has changed."""

from __future__ import annotations

import pytest
from local import NOW_MS, Local

OUT_OF_MEMORY = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
LARGE = b"x" * 200_000
OLD = (b"old", b"o" * 1_000, b"o" * 100_000)

CHANGES = {
    "set": [b"SET", b"k", LARGE],
    "set get": [b"SET", b"k", LARGE, b"GET"],
    "set with an expiry": [b"SET", b"k", LARGE, b"EX", b"100", b"XX", b"GET"],
    "setex": [b"SETEX", b"k", b"100", LARGE],
    "getset": [b"GETSET", b"k", LARGE],
    "mset": [b"MSET", b"k", LARGE, b"l", LARGE],
    "append": [b"APPEND", b"k", LARGE],
    "setrange": [b"SETRANGE", b"k", b"300000", b"x"],
}


def state(local: Local) -> list[bytes]:
    return local.run([["GET", "k"], ["PEXPIRETIME", "k"], ["GET", "l"], ["PEXPIRETIME", "l"]])


@pytest.mark.parametrize("old", OLD, ids=len)
@pytest.mark.parametrize("name", CHANGES)
def test_change_is_refused_and_its_reply_taken_back(name: str, old: bytes) -> None:
    local = Local()
    local.run([["SET", "k", old, "PXAT", b"%d" % (NOW_MS + 5000)]])
    before = state(local)
    local.handlers.out_of_memory = True
    assert local.command(*CHANGES[name]) == OUT_OF_MEMORY
    local.handlers.out_of_memory = False
    assert state(local) == before
    assert len(local.handlers) == 1
    assert local.command(*CHANGES[name]) != OUT_OF_MEMORY


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "k", "v"],
        ["SETNX", "k", "v"],
        ["PSETEX", "k", "100", "v"],
        ["GETSET", "k", "v"],
        ["SET", "k", "v", "GET"],
        ["APPEND", "k", "v"],
        ["SETRANGE", "k", "1", "v"],
        ["MSET", "k", "v"],
        ["MSETNX", "k", "v", "l", "w"],
        ["INCR", "k"],
        ["INCRBYFLOAT", "k", "1.5"],
    ],
    ids=lambda command: command[0].lower(),
)
def test_first_key_is_refused(command: list[str]) -> None:
    """An empty keyspace has to allocate for its first key, whatever its size."""
    local = Local()
    local.handlers.out_of_memory = True
    assert local.command(*command) == OUT_OF_MEMORY
    assert len(local.handlers) == 0
    local.handlers.out_of_memory = False
    assert local.command(*command)[:1] != b"-"


def test_what_only_reads_or_deletes_needs_no_memory() -> None:
    local = Local()
    local.run([["SET", "k", "v", "PXAT", b"%d" % (NOW_MS + 5000)], ["SET", "l", "w"]])
    local.handlers.out_of_memory = True
    commands = [["GET", "k"], ["MGET", "k", "l"], ["STRLEN", "k"], ["GETRANGE", "k", "0", "-1"], ["PTTL", "k"]]
    commands += [["GETDEL", "l"], ["EXPIRE", "k", "0"], ["GET", "k"]]
    assert local.run(commands) == [
        *(b"$1\r\nv\r\n", b"*2\r\n$1\r\nv\r\n$1\r\nw\r\n", b":1\r\n", b"$1\r\nv\r\n", b":5000\r\n"),
        *(b"$1\r\nw\r\n", b":1\r\n", b"$-1\r\n"),
    ]


@pytest.mark.parametrize("command", [["EXPIRE", "k", "100"], ["GETEX", "k", "EX", "100"]], ids=lambda words: words[0])
def test_expiry_that_needs_a_larger_entry_is_refused_whole(command: list[str]) -> None:
    """An expiry makes an entry larger. While more and more memory is used, some entries must fail to get their cell."""
    local = Local()
    refused = 0
    for number in range(3000):
        value = b"v" * (number % 1900)
        local.run([["SET", f"fill:{number}", value], ["SET", "k", value]])
        before = state(local)
        local.handlers.out_of_memory = True
        reply = local.command(*command)
        local.handlers.out_of_memory = False
        if reply == OUT_OF_MEMORY:
            refused += 1
            assert state(local) == before
        else:
            assert reply[:1] != b"-"
            assert local.command("TTL", "k") == b":100\r\n"
    assert refused > 0
