"""Reading dump.rdb: every encoding by hand, what redis-server writes, and every way to cut or damage a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import redis_server
from rdb_files import length, rdb, saved, text

from kvcy._core import Store
from kvcy.errors import DumpError
from kvcy.tools.filling import Filler, count_keys
from kvcy.tools.rdb import read_rdb
from kvcy.tools.source import Source, crc64_of

FUTURE_MS = 4_000_000_000_000
Other = tuple[str, bytes, int]


def read(path: Path, data: bytes) -> tuple[Store, Filler, list[Other]]:
    """What a file with these bytes holds."""
    path.write_bytes(data)
    others: list[Other] = []
    store = Store(shards=4)
    filler = Filler(store)
    with Source(str(path)) as source:
        read_rdb(source, filler, lambda done: None, lambda *other: others.append(other))
    return store, filler, others


def content(store: Store) -> dict[bytes, bytes]:
    return dict(store.items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dump.rdb"


def string(key: bytes, value: bytes) -> bytes:
    return b"\0" + text(key) + value


def test_the_checksum_is_redis_s() -> None:
    assert crc64_of(b"123456789") == 0xE9C6D914C4B8D9CA
    data = random.Random(1).randbytes(1000)
    assert crc64_of(data) == crc64_bit_by_bit(data)


def crc64_bit_by_bit(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc


STRINGS = {
    "empty": (b"\0", b""),
    "short": (b"\3abc", b"abc"),
    "14 bits": (length(300) + b"x" * 300, b"x" * 300),
    "32 bits": (b"\x80\0\0\0\5hello", b"hello"),
    "64 bits": (b"\x81" + b"\0" * 7 + b"\5hello", b"hello"),
    "int8": (b"\xc0\x85", b"-123"),
    "int16": (b"\xc1\x39\x30", b"12345"),
    "int32": (b"\xc2\0\0\0\x80", b"-2147483648"),
    "lzf run": (b"\xc3\x04\3\2abc", b"abc"),
    # A run of one byte, then a copy of 9 from one byte back.
    "lzf copy": (b"\xc3\5\x0a" + b"\0a" + b"\xe0\0\0", b"a" * 10),
}


@pytest.mark.parametrize("name", STRINGS)
def test_strings(path: Path, name: str) -> None:
    encoded, plain = STRINGS[name]
    store, _, _ = read(path, rdb(string(b"key", encoded) + string(b"after", b"\1x")))
    assert content(store) == {b"key": plain, b"after": b"x"}


def test_expiries_and_databases(path: Path) -> None:
    body = b"\xfe\x00\xfb\x02\x01"
    body += b"\xfc" + FUTURE_MS.to_bytes(8, "little") + string(b"ms", b"\1a")
    body += b"\xfd" + (2_000_000_000).to_bytes(4, "little") + string(b"s", b"\1b")
    body += b"\xfc" + (5).to_bytes(8, "little") + string(b"gone", b"\1c")
    body += b"\xfc" + bytes(8) + string(b"gone too", b"\1c")
    body += string(b"stays", b"\1d")
    body += b"\xfe\x0f" + b"\xf8\x05" + b"\xf9\x07" + string(b"far", b"\1e")
    store, filler, _ = read(path, rdb(body))
    assert content(store) == {b"ms": b"a", b"s": b"b", b"stays": b"d"}
    assert store.execute("PEXPIRETIME", "ms") == FUTURE_MS
    assert store.execute("PEXPIRETIME", "s") == 2_000_000_000_000
    assert store.execute("PEXPIRETIME", "stays") == -1
    assert (filler.keys, filler.expired) == (4, 2)
    assert count_keys(store) == 4


def test_what_is_passed_over(path: Path) -> None:
    module = length(1 << 40) + b"\2\5" + b"\1\7" + b"\3abcd" + b"\4abcdefgh" + b"\5" + text(b"piece") + b"\0"
    body = b"\xfa" + text(b"redis-ver") + text(b"7.4.0") + b"\xfa" + text(b"bits") + b"\xc0\x40"
    body += b"\xf7" + module + b"\xf5" + text(b"#!lua name=f") + b"\xf4\1\2\3" + string(b"key", b"\1v")
    store, _, _ = read(path, rdb(body, 12))
    assert content(store) == {b"key": b"v"}


def pair(count: int, piece: bytes) -> bytes:
    return length(count) + piece * count


OTHERS = {
    "list": b"\1" + b"\1k" + pair(2, text(b"e")),
    "zset as text": b"\3" + b"\1k" + pair(1, text(b"m") + b"\3" + b"1.5") + b"",
    "zset with infinity": b"\3" + b"\1k" + pair(1, text(b"m") + b"\xfe"),
    "zset": b"\5" + b"\1k" + pair(2, text(b"m") + bytes(8)),
    "hash": b"\4" + b"\1k" + length(1) + text(b"f") + text(b"v"),
    "module": b"\7" + b"\1k" + length(1 << 40) + b"\2\5" + b"\0",
    "compressed": b"\x0d" + b"\1k" + b"\xc3\4\3\2abc",
    "integers for strings": b"\2" + b"\1k" + length(3) + b"\xc0\1\xc1\1\1\xc2\1\1\1\1",
    "quicklist": b"\x12" + b"\1k" + pair(2, b"\2" + text(b"node")),
    "hash with expiring fields": b"\x18" + b"\1k" + bytes(8) + length(1) + b"\5" + text(b"f") + text(b"v"),
    "small hash with expiring fields": b"\x19" + b"\1k" + bytes(8) + text(b"listpack"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_types_are_named_and_passed_over(path: Path, name: str) -> None:
    store, _, others = read(path, rdb(OTHERS[name] + string(b"after", b"\1x"), 12))
    assert content(store) == {b"after": b"x"}
    assert [other[1:] for other in others] == [(b"k", 0)]


WRONG = {
    "no dump": b"NODIS0011",
    "version 0": rdb(b"", 0),
    "version 13": rdb(b"", 13),
    "version of letters": b"REDISabcd\xff",
    "database 16": rdb(b"\xfe\x10" + string(b"k", b"\1v")),
    "unknown type": rdb(b"\x63" + text(b"k") + b"\1v"),
    "wrong checksum": rdb(string(b"k", b"\1v"))[:-1] + b"\x55",
    "more behind": rdb(string(b"k", b"\1v")) + b"x",
    "too long a string": rdb(string(b"k", b"\x81" + b"\x7f" * 8 + b"v")),
    "a string where a length must be": rdb(b"\xfe\xc0\1"),
    "a length of no kind": rdb(string(b"k", b"\x90")),
    "text of no kind": rdb(string(b"k", b"\xc7")),
    "lzf from before the beginning": rdb(string(b"k", b"\xc3\4\3\0a\x20\5")),
    "lzf too short": rdb(string(b"k", b"\xc3\4\4\2abc")),
    "lzf too long": rdb(string(b"k", b"\xc3\4\2\2abc")),
    "lzf of an impossible size": rdb(string(b"k", b"\xc3\4\x80\x1f\0\0\0\2abc")),
    "lzf that ends early": rdb(string(b"k", b"\xc3\1\3\xe0")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_place(path: Path, name: str) -> None:
    with pytest.raises(DumpError, match=r"dump\.rdb, offset \d+: "):
        read(path, WRONG[name])


def test_no_checksum(path: Path) -> None:
    for data in (rdb(string(b"k", b"\1v"), 4), rdb(string(b"k", b"\1v"), 9, checksum=False)):
        assert content(read(path, data)[0]) == {b"k": b"v"}


def test_every_cut_and_every_flipped_bit_is_noticed(path: Path) -> None:
    data = rdb(b"\xfe\1" + b"".join(OTHERS.values()) + string(b"k", b"\xc3\4\3\2abc") + string(b"n", b"\xc1\1\1"), 12)
    read(path, data)
    for size in range(len(data)):
        with pytest.raises(DumpError):
            read(path, data[:size])
    for place in range(len(data)):
        with pytest.raises(DumpError):
            read(path, data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])


def commands(count: int) -> list[list[bytes | str]]:
    """Strings of every encoding, with expiries, in several databases."""
    numbers = random.Random(7)
    made: list[list[bytes | str]] = []
    for index in range(count):
        value = numbers.choice(
            [
                b"%d" % numbers.randrange(-(2**40), 2**40),
                b"%d" % numbers.randrange(-200, 200),
                b"word " * numbers.randrange(100),
                numbers.randbytes(numbers.randrange(300)),
                bytes(numbers.choices(b"ab", k=numbers.randrange(3000))),
            ]
        )
        if index % 500 == 0:
            made.append(["SELECT", str(index // 500 % 16)])
        command: list[bytes | str] = ["SET", b"key:%d" % index, value]
        made.append(command + (["PXAT", str(FUTURE_MS + index)] if index % 3 == 0 else []))
    return made


def test_what_redis_writes(path: Path) -> None:
    with redis_server.running() as redis:
        redis.run(commands(8000))
        store, filler, others = read(path, saved(redis).read_bytes())
        assert others == []
        assert filler.keys == 8000
        for database in range(16):
            redis.run([["SELECT", str(database)]])
            keys = [b"key:%d" % index for index in range(8000) if index // 500 % 16 == database]
            other = Store(shards=4, database=database)
            with Source(str(path)) as source:
                read_rdb(source, Filler(other), lambda done: None, lambda *other: None)
            for name in ("GET", "PEXPIRETIME"):
                for key, reply in zip(keys, redis.run([[name, key] for key in keys]), strict=True):
                    mine = other.execute(name, key)
                    assert reply == (b":%d\r\n" % mine if name != "GET" else b"$%d\r\n%s\r\n" % (len(mine), mine))
        assert count_keys(store) == 8000


def test_a_hundred_thousand_keys(path: Path) -> None:
    with redis_server.running() as redis:
        redis.run([["SET", f"key:{index}", f"value:{index}"] for index in range(100_000)])
        store, filler, _ = read(path, saved(redis).read_bytes())
    assert filler.keys == len(store) == 100_000
    assert all(store[b"key:%d" % index] == b"value:%d" % index for index in range(0, 100_000, 97))


def test_other_types_of_redis_are_passed_over(path: Path) -> None:
    many = [str(number) for number in range(2000)]
    fields = [word for number in many for word in (number, "x" * 20)]
    with redis_server.running() as redis:
        replies = redis.run(
            [
                ["RPUSH", "small list", "a", "1"],
                ["RPUSH", "large list", *many, "x" * 10_000],
                ["SADD", "small set", "a"],
                ["SADD", "integers", "1", "2", "100000"],
                ["SADD", "large set", *many, "a"],
                ["HSET", "small hash", "f", "v"],
                ["HSET", "large hash", *fields],
                ["ZADD", "small zset", "1", "a"],
                ["ZADD", "large zset", *(word for number in many for word in (number, "m" + number))],
                ["XADD", "stream", "1-1", "f", "v"],
                ["XADD", "stream", "2-1", "f", "v"],
                ["XGROUP", "CREATE", "stream", "group", "0"],
                ["XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "stream", ">"],
                ["FUNCTION", "LOAD", "#!lua name=f\nredis.register_function('f', function() return 1 end)"],
                ["SET", "string", "here"],
            ]
        )
        assert not any(reply.startswith(b"-") for reply in replies)
        store, _, others = read(path, saved(redis).read_bytes())
    assert content(store) == {b"string": b"here"}
    assert sorted((kind, key) for kind, key, _ in others) == [
        ("hash", b"large hash"),
        ("hash", b"small hash"),
        ("list", b"large list"),
        ("list", b"small list"),
        ("set", b"integers"),
        ("set", b"large set"),
        ("set", b"small set"),
        ("sorted set", b"large zset"),
        ("sorted set", b"small zset"),
        ("stream", b"stream"),
    ]
