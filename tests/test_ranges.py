"""APPEND, STRLEN, GETRANGE, SETRANGE and SUBSTR."""

from __future__ import annotations

import pytest
import scripts
from local import Local

SCRIPTS = {
    "append": """
        append k "" => :0
        get k => ""
        append k ab => :2
        append k cd => :4
        append k "" => :4
        get k => "abcd"
        append k => -ERR wrong number of arguments for 'append' command
        expire k 1000 => :1
        append k e => :5
        ttl k => :1000
        set n 12 => +OK
        append n 3 => :3
        incr n => :124
    """,
    "strlen": """
        strlen k => :0
        set k "" => +OK
        strlen k => :0
        set k abc => +OK
        strlen k => :3
        strlen => -ERR wrong number of arguments for 'strlen' command
    """,
    "getrange": """
        getrange k 0 -1 => ""
        getrange k a 1 => -ERR value is not an integer or out of range
        getrange k 1 b => -ERR value is not an integer or out of range
        getrange k 0 => -ERR wrong number of arguments for 'getrange' command
        set k "" => +OK
        getrange k 0 0 => ""
        set k hello => +OK
        getrange k 0 -1 => "hello"
        getrange k 0 0 => "h"
        getrange k 1 3 => "ell"
        getrange k -3 -2 => "ll"
        getrange k -100 1 => "he"
        getrange k 3 100 => "lo"
        getrange k 5 10 => ""
        getrange k 3 1 => ""
        getrange k -1 -5 => ""
        getrange k 0 -100 => "h"
        getrange k -100 -200 => ""
        getrange k -200 -100 => "h"
        getrange k 0 9223372036854775807 => "hello"
        getrange k -9223372036854775808 9223372036854775807 => "hello"
        getrange k 9223372036854775807 9223372036854775807 => ""
        getrange k 0 9223372036854775808 => -ERR value is not an integer or out of range
        substr k 1 3 => "ell"
        substr k 1 => -ERR wrong number of arguments for 'substr' command
    """,
    "setrange": r"""
        setrange k 0 "" => :0
        setrange k 5 "" => :0
        get k => nil
        setrange k 3 abc => :6
        get k => "\x00\x00\x00abc"
        setrange k 0 ABCD => :6
        get k => "ABCDbc"
        setrange k 6 x => :7
        setrange k 9 y => :10
        get k => "ABCDbcx\x00\x00y"
        setrange k 100 "" => :10
        expire k 1000 => :1
        setrange k 0 z => :10
        ttl k => :1000
        setrange k -1 x => -ERR offset is out of range
        setrange k -1 "" => -ERR offset is out of range
        setrange k abc x => -ERR value is not an integer or out of range
        setrange k 0 => -ERR wrong number of arguments for 'setrange' command
        setrange k 536870912 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange k 536870911 xy => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange k 9223372036854775807 "" => :10
        strlen k => :10
        setrange none 536870912 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange none -1 x => -ERR offset is out of range
        get none => nil
        set n 12 => +OK
        setrange n 1 3 => :2
        incr n => :14
    """,
}


@pytest.fixture
def runner() -> Local:
    return Local()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Local, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def test_growing_value_keeps_its_bytes(runner: Local) -> None:
    """From inside the entry to a block of its own, by pieces of many sizes."""
    model = b""
    for step in range(120):
        piece = b"%d," % step * (step % 17 * (60 if step > 80 else 2))
        model += piece
        assert runner.run([[b"APPEND", b"k", piece]]) == [b":%d\r\n" % len(model)]
    assert runner.run([[b"GET", b"k"]]) == [b"$%d\r\n%s\r\n" % (len(model), model)]
    assert len(model) > 40_000


def test_reply_is_not_touched_by_a_later_edit(runner: Local) -> None:
    """A large value is sent from where it is: editing it in the same pipeline must not show in the earlier reply."""
    value = b"a" * 100_000
    commands = [[b"SET", b"k", value], [b"GET", b"k"], [b"SETRANGE", b"k", b"0", b"b"], [b"APPEND", b"k", b"c"]]
    commands += [[b"GETRANGE", b"k", b"0", b"49999"], [b"SETRANGE", b"k", b"1", b"d"], [b"GET", b"k"]]
    assert runner.run(commands) == [
        b"+OK\r\n",
        b"$100000\r\n" + value + b"\r\n",
        b":100000\r\n",
        b":100001\r\n",
        b"$50000\r\nb" + value[:49999] + b"\r\n",
        b":100001\r\n",
        b"$100001\r\nbd" + value[:99998] + b"c\r\n",
    ]
