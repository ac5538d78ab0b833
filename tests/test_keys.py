"""DEL, UNLINK, EXISTS, TYPE, TOUCH, RENAME, RENAMENX, COPY and MOVE."""

from __future__ import annotations

import pytest
import scripts
from scripts import Runner
from session_runner import SessionRunner

SCRIPTS = {
    "del and unlink": """
        mset a 1 b 2 c 3 => +OK
        del a => :1
        del a => :0
        del b b none c => :2
        dbsize => :0
        mset a 1 b 2 => +OK
        unlink a none a b => :2
        exists a b => :0
        del => -ERR wrong number of arguments for 'del' command
        unlink => -ERR wrong number of arguments for 'unlink' command
    """,
    "exists counts repeated keys": """
        mset a 1 b 2 => +OK
        exists a => :1
        exists a a b none a => :4
        exists none => :0
        exists => -ERR wrong number of arguments for 'exists' command
    """,
    "type": """
        set a 1 => +OK
        type a => +string
        type none => +none
        type => -ERR wrong number of arguments for 'type' command
        type a b => -ERR wrong number of arguments for 'type' command
    """,
    "touch": """
        mset a 1 b 2 => +OK
        touch a b none a => :3
        touch none => :0
        touch => -ERR wrong number of arguments for 'touch' command
    """,
    "a key that has expired is not there": """
        set a 1 => +OK
        pexpireat a 1 => :1
        exists a => :0
        type a => +none
        touch a => :0
        del a => :0
        rename a b => -ERR no such key
        copy a b => :0
        move a 1 => :0
    """,
    "rename": """
        rename none other => -ERR no such key
        rename none none => -ERR no such key
        set a 1 EX 1000 => +OK
        rename a a => +OK
        rename a b => +OK
        get a => nil
        get b => "1"
        ttl b => :1000
        set c 2 => +OK
        rename c b => +OK
        get b => "2"
        ttl b => :-1
        exists c => :0
        set a 1 EX 1000 => +OK
        rename b a => +OK
        ttl a => :-1
        rename a => -ERR wrong number of arguments for 'rename' command
    """,
    "renamenx": """
        renamenx none other => -ERR no such key
        mset a 1 b 2 => +OK
        renamenx a a => :0
        renamenx a b => :0
        get a => "1"
        renamenx a c => :1
        get c => "1"
        exists a => :0
        renamenx none none => -ERR no such key
        renamenx a => -ERR wrong number of arguments for 'renamenx' command
    """,
    "copy": """
        copy none other => :0
        set a 1 EX 1000 => +OK
        copy a b => :1
        get b => "1"
        ttl b => :1000
        set c 3 => +OK
        copy a c => :0
        get c => "3"
        copy a c REPLACE => :1
        get c => "1"
        ttl c => :1000
        append c x => :2
        get a => "1"
        copy a a => -ERR source and destination objects are the same
        copy none none => -ERR source and destination objects are the same
        copy a => -ERR wrong number of arguments for 'copy' command
    """,
    "copy to another database": """
        set a 1 => +OK
        copy a a DB 0 => -ERR source and destination objects are the same
        copy a a DB 1 => :1
        copy a a db 1 => :0
        copy a b replace db 1 REPLACE => :1
        copy a b DB 2 DB 3 => :1
        select 1 => +OK
        mget a b => ["1", "1"]
        select 2 => +OK
        dbsize => :0
        select 3 => +OK
        get b => "1"
    """,
    "options of copy that are wrong": """
        set a 1 => +OK
        copy a b DB 16 => -ERR DB index is out of range
        copy a b DB -1 => -ERR DB index is out of range
        copy a b DB x => -ERR value is not an integer or out of range
        copy a b DB 9999999999 => -ERR value is out of range, value must between -2147483648 and 2147483647
        copy a b DB => -ERR syntax error
        copy a b FOO => -ERR syntax error
        copy a b DB 16 FOO => -ERR DB index is out of range
        copy a b FOO DB 16 => -ERR syntax error
        exists b => :0
    """,
    "move": """
        move none 1 => :0
        set a 1 EX 1000 => +OK
        move a 1 => :1
        exists a => :0
        set a 2 => +OK
        move a 1 => :0
        get a => "2"
        select 1 => +OK
        get a => "1"
        ttl a => :1000
        move a 1 => -ERR source and destination objects are the same
        move none 1 => -ERR source and destination objects are the same
        move a 16 => -ERR DB index is out of range
        move a -1 => -ERR DB index is out of range
        move a x => -ERR value is not an integer or out of range
        move a 9999999999 => -ERR value is out of range, value must between -2147483648 and 2147483647
        move a => -ERR wrong number of arguments for 'move' command
    """,
}


@pytest.fixture
def runner() -> SessionRunner:
    return SessionRunner()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Runner, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def test_values_of_every_size_survive_rename_copy_and_move(runner: Runner) -> None:
    """Inside the entry, beside a long key, and in blocks of their own."""
    for size in (0, 1, 100, 2047, 2048, 2049, 20_000, 300_000):
        value = b"v" * size
        long = b"k" * 1500
        replies = runner.run(
            [
                [b"SET", b"a", value],
                [b"RENAME", b"a", long],
                [b"COPY", long, b"copy"],
                [b"MOVE", long, b"1"],
                [b"GET", b"copy"],
                [b"SELECT", b"1"],
                [b"GET", long],
                [b"APPEND", long, b"x"],
                [b"DEL", long],
                [b"SELECT", b"0"],
                [b"GET", b"copy"],
                [b"DEL", b"copy"],
            ]
        )
        bulk = b"$%d\r\n%s\r\n" % (size, value)
        ok, one = b"+OK\r\n", b":1\r\n"
        assert replies == [ok, ok, one, one, bulk, ok, bulk, b":%d\r\n" % (size + 1), one, ok, bulk, one], size


def test_many_keys_at_once(runner: Runner) -> None:
    names = [b"key:%d" % index for index in range(1000)]
    runner.run([[b"MSET", *(word for name in names for word in (name, b"v"))]])
    assert runner.run([[b"EXISTS", *names, *names], [b"DEL", *names, *names], [b"DBSIZE"]]) == [
        b":2000\r\n",
        b":1000\r\n",
        b":0\r\n",
    ]
