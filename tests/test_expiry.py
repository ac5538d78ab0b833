"""EXPIRE and its relatives, TTL and its relatives, PERSIST."""

from __future__ import annotations

import pytest
import scripts
from local import NOW_MS, Local

SCRIPTS = {
    "expire": """
        expire k 10 => :0
        set k v => +OK
        expire k 1000 => :1
        ttl k => :1000
        pexpire k 2000000 => :1
        ttl k => :2000
        expireat k 4102444800 => :1
        expiretime k => :4102444800
        pexpireat k 4102444800123 => :1
        pexpiretime k => :4102444800123
        expiretime k => :4102444800
        pexpireat k 4102444800500 => :1
        expiretime k => :4102444801
        get k => "v"
    """,
    "times that have passed": """
        set k v => +OK
        expire k 0 => :1
        get k => nil
        set k v => +OK
        expire k -1 => :1
        get k => nil
        set k v => +OK
        pexpire k -9223372036854775808 => :1
        get k => nil
        set k v => +OK
        expireat k 0 => :1
        get k => nil
        set k v => +OK
        pexpireat k -1 => :1
        get k => nil
        pexpireat k -1 => :0
    """,
    "NX": """
        set k v => +OK
        expire k 1000 NX => :1
        expire k 2000 nx => :0
        expire k -1 NX => :0
        ttl k => :1000
        expire none 10 NX => :0
        expire k 2000 NX NX => :0
    """,
    "XX": """
        set k v => +OK
        expire k 1000 XX => :0
        ttl k => :-1
        expire k 1000 => :1
        expire k 2000 xx => :1
        ttl k => :2000
        expire k -1 XX => :1
        get k => nil
    """,
    "GT": """
        set k v => +OK
        expire k 1000 GT => :0
        ttl k => :-1
        expire k 1000 => :1
        expire k 500 GT => :0
        expire k -1 gt => :0
        expire k 2000 GT => :1
        ttl k => :2000
        pexpireat k 4102444800000 GT => :1
        pexpireat k 4102444800000 GT => :0
        pexpireat k 4102444800001 GT XX => :1
    """,
    "LT": """
        set k v => +OK
        pexpireat k 4102444800000 XX LT => :0
        pexpireat k 4102444800000 LT => :1
        pexpireat k 4102444800000 LT => :0
        pexpireat k 4102444800001 lt => :0
        pexpireat k 4102444799999 LT XX => :1
        expire k 1000 LT => :1
        ttl k => :1000
        expire k -1 LT => :1
        get k => nil
    """,
    "options that exclude each other": """
        set k v => +OK
        expire k 10 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        expire k 10 GT NX => -ERR NX and XX, GT or LT options at the same time are not compatible
        pexpire k 10 NX LT => -ERR NX and XX, GT or LT options at the same time are not compatible
        expireat k 10 NX GT LT => -ERR NX and XX, GT or LT options at the same time are not compatible
        pexpireat k 10 GT LT => -ERR GT and LT options at the same time are not compatible
        expire k 10 LT XX GT => -ERR GT and LT options at the same time are not compatible
        expire k abc GT LT => -ERR GT and LT options at the same time are not compatible
        expire k 10 FOO => -ERR Unsupported option FOO
        expire k 10 NX Bar => -ERR Unsupported option Bar
        expire k abc XXX => -ERR Unsupported option XXX
        ttl k => :-1
    """,
    "numbers that are refused": """
        set k v => +OK
        expire k abc => -ERR value is not an integer or out of range
        expire none 1.5 => -ERR value is not an integer or out of range
        pexpireat k 9223372036854775808 => -ERR value is not an integer or out of range
        expire k 9223372036854775807 => -ERR invalid expire time in 'expire' command
        expire k 9223372036854775 => -ERR invalid expire time in 'expire' command
        expire k -9223372036854776 => -ERR invalid expire time in 'expire' command
        expireat k 9223372036854776 => -ERR invalid expire time in 'expireat' command
        expireat k -9223372036854775808 => -ERR invalid expire time in 'expireat' command
        pexpire k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
        expire none 9223372036854775807 => -ERR invalid expire time in 'expire' command
        ttl k => :-1
        pexpireat k 9223372036854775807 => :1
        pexpiretime k => :9223372036854775807
        expiretime k => :9223372036854776
        expireat k 9223372036854775 => :1
        pexpiretime k => :9223372036854775000
        expire k => -ERR wrong number of arguments for 'expire' command
        pexpire k => -ERR wrong number of arguments for 'pexpire' command
        expireat k => -ERR wrong number of arguments for 'expireat' command
        pexpireat => -ERR wrong number of arguments for 'pexpireat' command
    """,
    "keys without an expiry": """
        ttl k => :-2
        pttl k => :-2
        expiretime k => :-2
        pexpiretime k => :-2
        persist k => :0
        set k v => +OK
        ttl k => :-1
        pttl k => :-1
        expiretime k => :-1
        pexpiretime k => :-1
        persist k => :0
        expire k 1000 => :1
        persist k => :1
        persist k => :0
        ttl k => :-1
        get k => "v"
        ttl => -ERR wrong number of arguments for 'ttl' command
        pttl k k => -ERR wrong number of arguments for 'pttl' command
        expiretime => -ERR wrong number of arguments for 'expiretime' command
        pexpiretime => -ERR wrong number of arguments for 'pexpiretime' command
        persist => -ERR wrong number of arguments for 'persist' command
    """,
}


@pytest.fixture
def runner() -> Local:
    return Local()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Local, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def test_time_left_is_rounded_to_the_nearest_second(runner: Local) -> None:
    runner.command("SET", "k", "v", "PXAT", str(NOW_MS + 10_000))
    replies = {}
    for passed_ms in (0, 1, 499, 500, 501, 9_499, 9_500, 9_501, 9_999):
        runner.handlers.now_ms = NOW_MS + passed_ms
        replies[passed_ms] = runner.run([["TTL", "k"], ["PTTL", "k"]])
    assert {passed_ms: int(ttl[1:]) for passed_ms, (ttl, _) in replies.items()} == {
        0: 10,
        1: 10,
        499: 10,
        500: 10,
        501: 9,
        9_499: 1,
        9_500: 1,
        9_501: 0,
        9_999: 0,
    }
    assert all(int(pttl[1:]) == 10_000 - passed_ms for passed_ms, (_, pttl) in replies.items())


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "k", "v", "EX", "10"],
        ["SET", "k", "v", "PX", "10000"],
        ["SET", "k", "v", "EXAT", str(NOW_MS // 1000 + 10)],
        ["SET", "k", "v", "PXAT", str(NOW_MS + 10_000)],
        ["SETEX", "k", "10", "v"],
        ["PSETEX", "k", "10000", "v"],
        ["EXPIRE", "k", "10"],
        ["PEXPIRE", "k", "10000"],
        ["EXPIREAT", "k", str(NOW_MS // 1000 + 10)],
        ["PEXPIREAT", "k", str(NOW_MS + 10_000)],
        ["GETEX", "k", "EX", "10"],
        ["GETEX", "k", "PX", "10000"],
        ["GETEX", "k", "EXAT", str(NOW_MS // 1000 + 10)],
        ["GETEX", "k", "PXAT", str(NOW_MS + 10_000)],
    ],
    ids=lambda command: " ".join(command[:1] + command[-2:-1]),
)
def test_key_lives_exactly_as_long_as_asked(runner: Local, command: list[str]) -> None:
    runner.command("SET", "k", "v")
    assert not runner.command(*command).startswith(b"-")
    runner.handlers.now_ms = NOW_MS + 9_999
    assert runner.run([["GET", "k"], ["PTTL", "k"]]) == [b"$1\r\nv\r\n", b":1\r\n"]
    runner.handlers.now_ms = NOW_MS + 10_001
    assert runner.run([["GET", "k"], ["PTTL", "k"]]) == [b"$-1\r\n", b":-2\r\n"]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (["SETNX", "k", "w"], b":1\r\n"),
        (["MSETNX", "k", "w"], b":1\r\n"),
        (["SET", "k", "w", "XX"], b"$-1\r\n"),
        (["SET", "k", "w", "NX", "GET"], b"$-1\r\n"),
        (["SET", "k", "w", "KEEPTTL"], b"+OK\r\n"),
        (["GETSET", "k", "w"], b"$-1\r\n"),
        (["GETDEL", "k"], b"$-1\r\n"),
        (["GETEX", "k", "PERSIST"], b"$-1\r\n"),
        (["APPEND", "k", "w"], b":1\r\n"),
        (["STRLEN", "k"], b":0\r\n"),
        (["SETRANGE", "k", "1", "w"], b":2\r\n"),
        (["INCRBY", "k", "5"], b":5\r\n"),
        (["INCRBYFLOAT", "k", "5"], b"$1\r\n5\r\n"),
        (["EXPIRE", "k", "10"], b":0\r\n"),
        (["PERSIST", "k"], b":0\r\n"),
        (["EXPIRETIME", "k"], b":-2\r\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_expired_key_is_missing_for_every_command(runner: Local, command: list[str], reply: bytes) -> None:
    runner.command("SET", "k", "7", "PX", "10")
    runner.handlers.now_ms = NOW_MS + 20
    assert runner.command(*command) == reply
    assert runner.run([["PTTL", "k"]])[0] in (b":-1\r\n", b":-2\r\n")


def test_asking_for_the_expiry_counts_as_hit_or_miss(runner: Local) -> None:
    runner.command("SET", "k", "v")
    runner.run([["TTL", "k"], ["PTTL", "none"], ["EXPIRETIME", "k"], ["PEXPIRETIME", "k"]])
    assert (runner.handlers.hits, runner.handlers.misses) == (3, 1)


def test_unsupported_option_is_quoted_in_one_line(runner: Local) -> None:
    assert runner.command("EXPIRE", "k", "1", "a\r\nb\n") == b"-ERR Unsupported option a  b\r\n"
    assert runner.command("EXPIRE", "k", "1", "a\0b") == b"-ERR Unsupported option a\r\n"
    assert runner.command("EXPIRE", "k", "1", "") == b"-ERR Unsupported option \r\n"
