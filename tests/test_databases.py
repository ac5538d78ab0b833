"""DBSIZE, FLUSHDB, FLUSHALL and SWAPDB."""

from __future__ import annotations

import pytest
import scripts
from scripts import Runner
from session_runner import SessionRunner

SCRIPTS = {
    "dbsize": """
        dbsize => :0
        mset a 1 b 2 => +OK
        dbsize => :2
        select 1 => +OK
        dbsize => :0
        dbsize x => -ERR wrong number of arguments for 'dbsize' command
    """,
    "flushdb empties the selected database": """
        mset a 1 b 2 => +OK
        select 1 => +OK
        set c 3 => +OK
        flushdb => +OK
        dbsize => :0
        flushdb => +OK
        set c 4 => +OK
        get c => "4"
        flushdb async => +OK
        set c 5 => +OK
        flushdb SYNC => +OK
        exists c => :0
        select 0 => +OK
        mget a b => ["1", "2"]
        flushdb foo => -ERR syntax error
        flushdb async sync => -ERR syntax error
        dbsize => :2
    """,
    "flushall empties every database": """
        set a 1 => +OK
        select 15 => +OK
        set b 2 => +OK
        flushall => +OK
        dbsize => :0
        select 0 => +OK
        dbsize => :0
        flushall ASYNC => +OK
        flushall sync => +OK
        flushall foo => -ERR syntax error
        flushall async async => -ERR syntax error
    """,
    "swapdb": """
        set a zero => +OK
        select 1 => +OK
        mset a one b one => +OK
        swapdb 0 1 => +OK
        get a => "zero"
        dbsize => :1
        select 0 => +OK
        get a => "one"
        dbsize => :2
        swapdb 0 0 => +OK
        dbsize => :2
        swapdb 15 0 => +OK
        dbsize => :0
        swapdb 0 15 => +OK
        get b => "one"
    """,
    "databases that do not exist": """
        swapdb 0 16 => -ERR DB index is out of range
        swapdb -1 0 => -ERR DB index is out of range
        swapdb x 0 => -ERR invalid first DB index
        swapdb 0 x => -ERR invalid second DB index
        swapdb 16 x => -ERR invalid second DB index
        swapdb 9999999999 0 => -ERR invalid first DB index
        swapdb 0 9999999999 => -ERR invalid second DB index
        swapdb 0 => -ERR wrong number of arguments for 'swapdb' command
    """,
}


@pytest.fixture
def runner() -> SessionRunner:
    return SessionRunner()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Runner, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def test_flush_and_refill(runner: Runner) -> None:
    """Memory that a flush detaches does not come back to life, and is not needed by what follows."""
    for turn in range(3):
        words = [word for index in range(5000) for word in (b"key:%d" % index, b"%d:%d" % (turn, index))]
        replies = runner.run([[b"MSET", *words], [b"DBSIZE"], [b"GET", b"key:4999"], [b"FLUSHDB"], [b"DBSIZE"]])
        value = b"%d:4999" % turn
        assert replies == [
            b"+OK\r\n",
            b":5000\r\n",
            b"$%d\r\n%s\r\n" % (len(value), value),
            b"+OK\r\n",
            b":0\r\n",
        ]
