"""String commands on keys that hold another type: refused without a trace, or, where Redis does so, carried out."""

from __future__ import annotations

import pytest
import resp
from local import NOW_MS, Local

WRONG_TYPE = "-WRONGTYPE Operation against a key holding the wrong kind of value"
LIST = 1

REFUSED = [
    "GET k",
    "GETDEL k",
    "GETEX k",
    "GETEX k EX 10",
    "GETEX k EX abc",
    "GETSET k v",
    "SET k v GET",
    "SET k v NX GET",
    "SET k v XX GET EX 10",
    "APPEND k v",
    "STRLEN k",
    "GETRANGE k 0 -1",
    "SUBSTR k 0 -1",
    "SETRANGE k 0 v",
    "SETRANGE k 536870912 v",
    "INCR k",
    "INCRBY k 5",
    "DECR k",
    "DECRBY k 5",
    "INCRBYFLOAT k 1.5",
    "INCRBYFLOAT k abc",
]

DONE = {
    "SET k w": "+OK",
    "SET k w XX": "+OK",
    "SET k w KEEPTTL": "+OK",
    "SET k w NX": "nil",
    "SETEX k 10 w": "+OK",
    "SETNX k w": ":0",
    "MSET l 1 k w": "+OK",
    "MSETNX l 1 k w": ":0",
    "MGET k other": '[nil, "v"]',
    "TTL k": ":5",
    "EXPIRE k 100": ":1",
    "EXPIRE k 0": ":1",
    "PERSIST k": ":1",
    "GETRANGE k a b": "-ERR value is not an integer or out of range",
    "SETRANGE k -1 v": "-ERR offset is out of range",
    "INCRBY k abc": "-ERR value is not an integer or out of range",
    "DECRBY k -9223372036854775808": "-ERR decrement would overflow",
    "SET k v GET EX 0": "-ERR invalid expire time in 'set' command",
}


@pytest.fixture
def runner() -> Local:
    """Two keys, the first of which holds a list."""
    local = Local()
    local.run([["SET", "k", "12", "PXAT", str(NOW_MS + 5000)], ["SET", "other", "v"]])
    local.handlers.retype(b"k", LIST)
    return local


@pytest.mark.parametrize("command", REFUSED)
def test_refused(runner: Local, command: str) -> None:
    assert resp.show(runner.command(*command.split())) == WRONG_TYPE
    assert runner.command("PTTL", "k") == b":5000\r\n"
    runner.handlers.retype(b"k", 0)
    assert runner.command("GET", "k") == b"$2\r\n12\r\n"


@pytest.mark.parametrize("command", DONE)
def test_done(runner: Local, command: str) -> None:
    assert resp.show(runner.command(*command.split())) == DONE[command]


@pytest.mark.parametrize("command", ["SET k w", "SET k w XX", "SETEX k 10 w", "MSET k w"])
def test_set_makes_it_a_string(runner: Local, command: str) -> None:
    runner.command(*command.split())
    assert runner.command("GET", "k") == b"$1\r\nw\r\n"
