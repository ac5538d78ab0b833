"""The string commands: every option, every error, word for word."""

from __future__ import annotations

import pytest
import resp
import scripts
from local import Local

SCRIPTS = {
    "get and set": r"""
        get k => nil
        set k v => +OK
        get k => "v"
        set k "" => +OK
        get k => ""
        set "" empty => +OK
        get "" => "empty"
        get => -ERR wrong number of arguments for 'get' command
        get a b => -ERR wrong number of arguments for 'get' command
        set k => -ERR wrong number of arguments for 'set' command
    """,
    "set removes the expiry": """
        set k v EX 1000 => +OK
        set k w => +OK
        ttl k => :-1
    """,
    "set NX and XX": """
        set k v XX => nil
        get k => nil
        set k v NX => +OK
        set k w nx => nil
        get k => "v"
        set k w xx => +OK
        get k => "w"
        set k v NX XX => -ERR syntax error
        set k v XX NX => -ERR syntax error
        set k v NX NX => nil
        set k x XX XX => +OK
    """,
    "set GET": """
        set k v GET => nil
        set k w gEt => "v"
        set k x NX GET => "w"
        get k => "w"
        set k x GET NX => "w"
        set k x XX GET => "w"
        get k => "x"
        set other v XX GET => nil
        get other => nil
        set other v NX GET => nil
        get other => "v"
        set k y GET EX 1000 => "x"
        ttl k => :1000
        set k z GET GET => "y"
        ttl k => :-1
    """,
    "set with an expiry": """
        set k v EX 1000 => +OK
        ttl k => :1000
        set k v PX 2000000 => +OK
        ttl k => :2000
        set k v EXAT 4102444800 => +OK
        expiretime k => :4102444800
        pexpiretime k => :4102444800000
        set k v PXAT 4102444800123 => +OK
        pexpiretime k => :4102444800123
        set k v EX 10 EX 20 => +OK
        ttl k => :20
        set k v XX EX 30 GET => "v"
        ttl k => :30
        set k w NX EX 40 => nil
        ttl k => :30
    """,
    "set KEEPTTL": """
        set k v KEEPTTL => +OK
        ttl k => :-1
        set k v EX 1000 => +OK
        set k w KEEPTTL => +OK
        get k => "w"
        ttl k => :1000
        set k x keepttl XX GET KEEPTTL => "w"
        ttl k => :1000
    """,
    "set in the past": """
        set k v => +OK
        set k w EXAT 1 => +OK
        get k => nil
        set k v => +OK
        set k w PXAT 1 GET => "v"
        get k => nil
        set k w NX EXAT 1 => +OK
        get k => nil
        set k w XX EXAT 1 => nil
    """,
    "set refuses": """
        set k v EX => -ERR syntax error
        set k v PX => -ERR syntax error
        set k v EX 10 PX 10 => -ERR syntax error
        set k v EXAT 10 EX 10 => -ERR syntax error
        set k v PXAT 10 EXAT 10 => -ERR syntax error
        set k v EX 10 KEEPTTL => -ERR syntax error
        set k v KEEPTTL PX 10 => -ERR syntax error
        set k v PERSIST => -ERR syntax error
        set k v FOO => -ERR syntax error
        set k v "" => -ERR syntax error
        set k v NXX => -ERR syntax error
        set k v EX 10 extra => -ERR syntax error
        set k v EX abc => -ERR value is not an integer or out of range
        set k v EX 1.5 => -ERR value is not an integer or out of range
        set k v PX 9223372036854775808 => -ERR value is not an integer or out of range
        set k v EX 0 => -ERR invalid expire time in 'set' command
        set k v EX -1 => -ERR invalid expire time in 'set' command
        set k v PX 0 => -ERR invalid expire time in 'set' command
        set k v EXAT 0 => -ERR invalid expire time in 'set' command
        set k v PXAT -5 => -ERR invalid expire time in 'set' command
        set k v EX 9223372036854775807 => -ERR invalid expire time in 'set' command
        set k v EX 9223372036854775 => -ERR invalid expire time in 'set' command
        set k v PX 9223372036854775807 => -ERR invalid expire time in 'set' command
        set k v EXAT 9223372036854776 => -ERR invalid expire time in 'set' command
        get k => nil
        set k v PXAT 9223372036854775807 => +OK
        pexpiretime k => :9223372036854775807
        set k w EX 0 GET => -ERR invalid expire time in 'set' command
        get k => "v"
    """,
    "setnx": """
        setnx k v => :1
        setnx k w => :0
        get k => "v"
        set k v EXAT 1 => +OK
        setnx k w => :1
        get k => "w"
        setnx k => -ERR wrong number of arguments for 'setnx' command
    """,
    "setex and psetex": """
        setex k 1000 v => +OK
        get k => "v"
        ttl k => :1000
        psetex k 2000000 w => +OK
        get k => "w"
        ttl k => :2000
        setex k 0 x => -ERR invalid expire time in 'setex' command
        SETEX k -1 x => -ERR invalid expire time in 'setex' command
        setex k 9223372036854775807 x => -ERR invalid expire time in 'setex' command
        psetex k 0 x => -ERR invalid expire time in 'psetex' command
        psetex k 9223372036854775807 x => -ERR invalid expire time in 'psetex' command
        setex k abc x => -ERR value is not an integer or out of range
        psetex k 1.5 x => -ERR value is not an integer or out of range
        setex k 10 => -ERR wrong number of arguments for 'setex' command
        psetex k 10 x y => -ERR wrong number of arguments for 'psetex' command
        get k => "w"
    """,
    "getset": """
        getset k v => nil
        getset k w => "v"
        get k => "w"
        expire k 1000 => :1
        getset k x => "w"
        ttl k => :-1
        getset k => -ERR wrong number of arguments for 'getset' command
    """,
    "getdel": """
        getdel k => nil
        set k v => +OK
        getdel k => "v"
        get k => nil
        getdel k extra => -ERR wrong number of arguments for 'getdel' command
    """,
    "getex": """
        getex k => nil
        getex k EX abc => nil
        getex k FOO => -ERR syntax error
        set k v => +OK
        getex k => "v"
        ttl k => :-1
        getex k EX 1000 => "v"
        ttl k => :1000
        getex k => "v"
        ttl k => :1000
        getex k PX 2000000 => "v"
        ttl k => :2000
        getex k exat 4102444800 => "v"
        expiretime k => :4102444800
        getex k pxat 4102444800123 => "v"
        pexpiretime k => :4102444800123
        getex k EX 10 EX 20 => "v"
        ttl k => :20
        getex k PERSIST => "v"
        ttl k => :-1
        getex k PERSIST PERSIST => "v"
        getex k EX => -ERR syntax error
        getex k EX 10 PERSIST => -ERR syntax error
        getex k PERSIST EX 10 => -ERR syntax error
        getex k EX 10 PX 10 => -ERR syntax error
        getex k KEEPTTL => -ERR syntax error
        getex k NX => -ERR syntax error
        getex k XX => -ERR syntax error
        getex k GET => -ERR syntax error
        getex k EX abc => -ERR value is not an integer or out of range
        getex k EX 0 => -ERR invalid expire time in 'getex' command
        getex k PX -1 => -ERR invalid expire time in 'getex' command
        getex k EXAT 9223372036854775807 => -ERR invalid expire time in 'getex' command
        getex k PX 9223372036854775807 => -ERR invalid expire time in 'getex' command
        getex k EXAT 1 => "v"
        get k => nil
    """,
    "mget": """
        mset a 1 b 2 c "" => +OK
        mget a => ["1"]
        mget a nothing b c a => ["1", nil, "2", "", "1"]
        mget => -ERR wrong number of arguments for 'mget' command
    """,
    "mset": """
        mset a 1 => +OK
        expire a 1000 => :1
        mset a 2 b 3 a 4 => +OK
        mget a b => ["4", "3"]
        ttl a => :-1
        mset a => -ERR wrong number of arguments for 'mset' command
        mset a 1 b => -ERR wrong number of arguments for 'mset' command
        mset => -ERR wrong number of arguments for 'mset' command
    """,
    "msetnx": """
        msetnx a 1 b 2 => :1
        msetnx c 3 b 4 => :0
        mget a b c => ["1", "2", nil]
        msetnx c 3 c 4 => :1
        get c => "4"
        msetnx d => -ERR wrong number of arguments for 'msetnx' command
        msetnx d 1 e => -ERR wrong number of arguments for 'msetnx' command
        mget d e => [nil, nil]
    """,
    "a row of expired keys": """
        mset a 1 b 2 => +OK
        expireat a 1 => :1
        msetnx a 3 => :1
        mget a b => ["3", "2"]
    """,
}


@pytest.fixture
def runner() -> Local:
    return Local()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Local, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


@pytest.mark.parametrize("size", [0, 1, 44, 45, 1000, 2030, 2047, 2048, 2049, 16383, 16384, 32768, 100_000, 3_000_000])
def test_value_of_any_size_comes_back(runner: Local, size: int) -> None:
    value = bytes(range(256)) * (size // 256 + 1)
    value = value[:size]
    whole = b"$%d\r\n%s\r\n" % (size, value)
    commands = [
        [b"SET", b"k", value],
        [b"GET", b"k"],
        [b"GETSET", b"k", value + b"x"],
        [b"GETDEL", b"k"],
        [b"GET", b"k"],
    ]
    replies = [reply for command in commands for reply in runner.run([command])]
    assert replies == [b"+OK\r\n", whole, whole, b"$%d\r\n%sx\r\n" % (size + 1, value), b"$-1\r\n"]


@pytest.mark.parametrize("size", [0, 1, 100, 1024, 1025, 4096, 40_000])
def test_key_of_any_size_is_found(runner: Local, size: int) -> None:
    keys = [b"\x00\r\n\xff"[:size].ljust(size, letter) for letter in (b"a", b"b")]
    assert runner.run([[b"SET", keys[0], b"v"]]) == [b"+OK\r\n"]
    found = [resp.show(reply) for key in keys for reply in runner.run([[b"GET", key]])]
    assert found == ['"v"', '"v"' if keys[0] == keys[1] else "nil"]


def test_replies_of_resp3() -> None:
    runner = Local(protocol=3)
    commands = [["GET", "k"], ["MGET", "k"], ["GETSET", "k", "v"], ["SET", "k", "w", "NX"], ["GETDEL", "k"]]
    assert runner.run(commands) == [b"_\r\n", b"*1\r\n_\r\n", b"_\r\n", b"_\r\n", b"$1\r\nv\r\n"]
