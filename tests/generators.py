"""Seeded random commands, for tests that compare two servers.

A family is a function `family(random, count) -> Iterator[list[bytes]]`: `count` commands on a small common pool of
keys, most of them legal, some not. FAMILIES lists them, by their share; `mixed` draws from several. The same seed gives
the same commands.

Replies can be compared byte for byte, with `same_reply` for the few that show the clock. To keep the rest free of it,
no expiry falls into the time of a test: what expires does so at once or much later, and no two expiries are close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

import resp

Family = Callable[[Random, int], Iterator[list[bytes]]]

KEYS = (*(b"key:%d" % index for index in range(24)), b"", b"\x00\r\n\xff", b"long:" + b"k" * 1500)
INTEGERS = (0, 1, -1, 7, 10, 99, -100, 4096, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63))
NOT_INTEGERS = (b"", b"abc", b"1.5", b" 1", b"1 ", b"+1", b"01", b"-0", b"9223372036854775808", b"-9223372036854775809")
FLOATS = (b"0.1", b"-0.1", b"3.0e3", b"1e-5", b"5.000", b".5", b"-.25e2", b"10.5", b"1e17", b"0x1p4", b"-0", b"+5")
NOT_FLOATS = (b"", b"abc", b"nan", b"1.5x", b" 1.5", b"1e5000", b"inf", b"-inf", b"1,5", b"1e-5000")
SIZES = (0, 1, 2, 7, 31, 32, 44, 45, 100, 511, 1000, 2030, 2047, 2048, 2049, 4100, 16383, 16384, 16400, 33000)

# Integer replies that depend on when the command ran, and by how much they may differ.
TIMED_UNITS = {b"TTL": 60, b"EXPIRETIME": 60, b"PTTL": 60_000, b"PEXPIRETIME": 60_000}

# Array replies whose order is the server's own.
UNORDERED = (b"KEYS", b"SCAN")

# Replies that depend on chance, memory or the clock: only their kind is compared.
UNCOMPARED = (b"RANDOMKEY", b"MEMORY", b"OBJECT IDLETIME")

# Intended differences: kvcy tells encodings and references from a value's bytes. So it says "int" of an integer that
# INCRBYFLOAT made, where Redis says "embstr", and takes a small integer for shared where COPY made Redis's a new one.
# Nor do the arguments of a queued SET count as a reference while EXEC runs, as they do in Redis.
INTENDED = {
    b"OBJECT ENCODING": ({b"$3\r\nint\r\n", b"$6\r\nembstr\r\n"},),
    b"OBJECT REFCOUNT": ({b":1\r\n", b":2147483647\r\n"}, {b":1\r\n", b":2\r\n"}),
}

FAR_S = 4_102_444_800  # the year 2100


def key(random: Random) -> bytes:
    """One of the common keys, the first ones more often."""
    return KEYS[min(random.randrange(len(KEYS)), random.randrange(len(KEYS)))]


def counter(random: Random, kind: bytes) -> bytes:
    """A key that holds mostly numbers of one kind, or one of the common keys."""
    return b"%s:%d" % (kind, random.randrange(3)) if random.random() < 0.6 else key(random)


def number(random: Random) -> bytes:
    """An integer, sometimes a bad one."""
    if random.random() < 0.1:
        return random.choice(NOT_INTEGERS)
    if random.random() < 0.5:
        return b"%d" % random.choice(INTEGERS)
    return b"%d" % random.randrange(-10_000, 10_000)


def value(random: Random) -> bytes:
    """A value: a number, a text or bytes of some size around the engine's limits."""
    draw = random.random()
    if draw < 0.3:
        return number(random)
    if draw < 0.4:
        return random.choice(FLOATS + NOT_FLOATS)
    if draw < 0.8:
        return b"value:%d" % random.randrange(1000)
    return random.randbytes(random.choice(SIZES))


def spelled(random: Random, word: bytes) -> bytes:
    """The word in upper, lower or mixed case."""
    return random.choice((word, word, word.lower(), word.title()))


def lifetime(random: Random, unit_ms: int) -> bytes:
    """A time from now in units, far away or past or bad."""
    if random.random() < 0.15:
        return random.choice((b"0", b"-1", b"-1000", b"abc", b"", b"9223372036854775807", b"-9223372036854775808"))
    return b"%d" % (random.randrange(1_000, 10_000_000) * 1000 // unit_ms)


def moment(random: Random, unit_ms: int) -> bytes:
    """A Unix time in units, far away or past or bad."""
    if random.random() < 0.2:
        return random.choice((b"0", b"1", b"-5", b"1000000", b"abc", b"9223372036854775807", b"-9223372036854775808"))
    return b"%d" % ((FAR_S + random.randrange(10_000_000)) * 1000 // unit_ms)


def expiry_option(random: Random) -> list[bytes]:
    """EX, PX, EXAT or PXAT with its argument, which is missing now and then."""
    name, draw, unit_ms = random.choice(
        ((b"EX", lifetime, 1000), (b"PX", lifetime, 1), (b"EXAT", moment, 1000), (b"PXAT", moment, 1))
    )
    return [spelled(random, name)] + ([] if random.random() < 0.03 else [draw(random, unit_ms)])


def set_options(random: Random) -> list[bytes]:
    """Options of SET in any order, mostly in legal combinations."""
    groups: list[list[bytes]] = []
    if random.random() < 0.4:
        groups.append([spelled(random, random.choice((b"NX", b"XX")))])
    if random.random() < 0.3:
        groups.append([spelled(random, b"GET")])
    if random.random() < 0.4:
        groups.append(expiry_option(random))
    elif random.random() < 0.3:
        groups.append([spelled(random, b"KEEPTTL")])
    if random.random() < 0.05:
        groups.append([random.choice((b"NX", b"XX", b"PERSIST", b"KEEPTTL", b"FOO", b""))])
    random.shuffle(groups)
    return [word for group in groups for word in group]


def getex_options(random: Random) -> list[bytes]:
    """Options of GETEX."""
    draw = random.random()
    if draw < 0.4:
        return expiry_option(random)
    if draw < 0.7:
        return [spelled(random, b"PERSIST")]
    if draw < 0.8:
        return [random.choice((b"KEEPTTL", b"NX", b"GET", b"FOO"))]
    if draw < 0.85:
        return [*expiry_option(random), b"PERSIST"]
    return []


def pairs(random: Random) -> list[bytes]:
    """Keys and values for MSET, now and then one too few."""
    words = [word for _ in range(random.randrange(1, 5)) for word in (key(random), value(random))]
    return words[:-1] if random.random() < 0.05 else words


def offset(random: Random) -> bytes:
    """An offset into a value, from either end."""
    if random.random() < 0.15:
        return number(random)
    return b"%d" % random.choice((random.randrange(-12, 12), random.randrange(-40_000, 40_000)))


def splice_offset(random: Random) -> bytes:
    """An offset for SETRANGE: none that makes a value of more than some kilobytes."""
    if random.random() < 0.1:
        return random.choice((b"-1", b"abc", b"536870912", b"9223372036854775807", b"-9223372036854775808"))
    return b"%d" % random.choice((0, random.randrange(12), random.randrange(5_000)))


def string_command(random: Random) -> list[bytes]:
    """One command of the string family."""
    name = random.choice(STRING_NAMES)
    if name in (b"SET", b"SET PLAIN"):
        return [b"SET", key(random), value(random), *(set_options(random) if name == b"SET" else [])]
    if name == b"GETEX":
        return [name, key(random), *getex_options(random)]
    if name in (b"SETEX", b"PSETEX"):
        return [name, key(random), lifetime(random, 1000 if name == b"SETEX" else 1), value(random)]
    if name in (b"MSET", b"MSETNX"):
        return [name, *pairs(random)]
    if name == b"MGET":
        return [name, *(key(random) for _ in range(random.randrange(1, 6)))]
    if name in (b"GETRANGE", b"SUBSTR"):
        return [name, key(random), offset(random), offset(random)]
    if name == b"SETRANGE":
        return [name, key(random), splice_offset(random), value(random)]
    if name in (b"INCR", b"DECR"):
        return [name, counter(random, b"integer")]
    if name in (b"INCRBY", b"DECRBY"):
        return [name, counter(random, b"integer"), number(random)]
    if name == b"INCRBYFLOAT":
        return [name, counter(random, b"float"), random.choice(NOT_FLOATS if random.random() < 0.15 else FLOATS)]
    if name in (b"SETNX", b"GETSET", b"APPEND"):
        return [name, key(random), value(random)]
    return [name, key(random)]


STRING_NAMES = (
    *(b"SET", b"SET", b"SET PLAIN", b"SET PLAIN", b"GET", b"GET", b"SETNX", b"SETEX", b"PSETEX", b"GETSET", b"GETDEL"),
    *(b"GETEX", b"MGET", b"MSET", b"MSETNX", b"APPEND", b"STRLEN", b"GETRANGE", b"SETRANGE", b"SUBSTR"),
    *(b"INCR", b"INCRBY", b"DECR", b"DECRBY", b"INCRBYFLOAT"),
)


def strings(random: Random, count: int) -> Iterator[list[bytes]]:
    """Commands of the string family."""
    for _ in range(count):
        command = string_command(random)
        command[0] = spelled(random, command[0])
        if random.random() < 0.01:
            command.append(b"extra")
        yield command


def expiry_command(random: Random) -> list[bytes]:
    """One command of the expiry family."""
    name = random.choice(EXPIRY_NAMES)
    if name not in EXPIRY_SETTERS:
        return [name, key(random)]
    draw, unit_ms = EXPIRY_SETTERS[name]
    command = [name, key(random), draw(random, unit_ms)]
    if random.random() < 0.5:
        command.append(spelled(random, random.choice((b"NX", b"XX", b"GT", b"LT"))))
    if random.random() < 0.1:
        command.append(random.choice((b"NX", b"XX", b"GT", b"LT", b"FOO")))
    return command


EXPIRY_SETTERS: dict[bytes, tuple[Callable[[Random, int], bytes], int]] = {
    b"EXPIRE": (lifetime, 1000),
    b"PEXPIRE": (lifetime, 1),
    b"EXPIREAT": (moment, 1000),
    b"PEXPIREAT": (moment, 1),
}
EXPIRY_NAMES = (*EXPIRY_SETTERS, *EXPIRY_SETTERS, b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME", b"PERSIST")


def expiry(random: Random, count: int) -> Iterator[list[bytes]]:
    """Commands of the expiry family."""
    for _ in range(count):
        command = expiry_command(random)
        command[0] = spelled(random, command[0])
        yield command


def database(random: Random) -> bytes:
    """A database number, mostly one of the first, sometimes a bad one."""
    if random.random() < 0.1:
        return random.choice((b"16", b"-1", b"abc", b"", b"01", b"2147483648", b"9223372036854775808"))
    return b"%d" % random.choice((0, 0, 1, 1, 2, 15))


def copy_options(random: Random) -> list[bytes]:
    """Options of COPY in any order."""
    words: list[bytes] = []
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        words += random.choice(([spelled(random, b"REPLACE")], [spelled(random, b"DB"), database(random)]))
    if random.random() < 0.05:
        words.append(random.choice((b"DB", b"FOO", b"")))
    return words


def pattern(random: Random) -> bytes:
    """A glob pattern that matches some of the common keys, or nothing."""
    if random.random() < 0.5:
        return random.choice(PATTERNS)
    return bytes(random.choice(b"key:12*?[]-^\\") for _ in range(random.randrange(8)))


def scan_options(random: Random) -> list[bytes]:
    """A whole walk in one call (no other could be compared), with MATCH and TYPE in any order, or a bad option."""
    groups = [[spelled(random, b"COUNT"), b"100000"]]
    if random.random() < 0.5:
        groups.append([spelled(random, b"MATCH"), pattern(random)])
    if random.random() < 0.4:
        groups.append([spelled(random, b"TYPE"), random.choice((b"string", b"STRING", b"list", b"foo", b""))])
    if random.random() < 0.2:
        groups.append(random.choice(([b"COUNT", b"0"], [b"COUNT", b"x"], [b"MATCH"], [b"FOO", b"1"], [b"COUNT"])))
    random.shuffle(groups)
    return [word for group in groups for word in group]


def key_command(random: Random) -> list[bytes]:
    """One command of the key families."""
    name = random.choice(KEY_NAMES)
    if name in (b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"):
        return [name, *(key(random) for _ in range(random.randrange(1, 5)))]
    if name in (b"RENAME", b"RENAMENX"):
        return [name, key(random), key(random)]
    if name == b"COPY":
        return [name, key(random), key(random), *copy_options(random)]
    if name == b"MOVE":
        return [name, key(random), database(random)]
    if name == b"KEYS":
        return [name, pattern(random)]
    if name == b"SCAN":
        cursor = random.choice((b"x", b" 1", b"1.5", b"18446744073709551616")) if random.random() < 0.1 else b"0"
        return [name, cursor, *scan_options(random)]
    if name == b"OBJECT":
        words = (b"ENCODING", b"ENCODING", b"REFCOUNT", b"IDLETIME", b"FREQ", b"FOO")
        return [name, spelled(random, random.choice(words)), key(random)]
    if name == b"MEMORY":
        options = random.choice(([], [], [b"SAMPLES", b"5"], [b"SAMPLES", b"-1"], [b"SAMPLES", b"x"], [b"FOO"]))
        return [name, spelled(random, b"USAGE"), key(random), *options]
    return [name, key(random)] if name == b"TYPE" else [name]


KEY_NAMES = (
    *(b"DEL", b"UNLINK", b"EXISTS", b"EXISTS", b"TYPE", b"TYPE", b"TOUCH", b"RENAME", b"RENAMENX", b"COPY", b"COPY"),
    *(b"MOVE", b"KEYS", b"SCAN", b"RANDOMKEY", b"DBSIZE", b"OBJECT", b"OBJECT", b"MEMORY"),
)
PATTERNS = (b"*", b"key:*", b"key:?", b"key:[0-3]", b"key:1[^0-4]", b"*1*", b"long*", b"**", b"", b"key:1", b"[a-z]*:?")


def keys(random: Random, count: int) -> Iterator[list[bytes]]:
    """Commands on keys whatever they hold."""
    for _ in range(count):
        command = key_command(random)
        command[0] = spelled(random, command[0])
        if random.random() < 0.01:
            command.append(b"extra")
        yield command


def databases(random: Random, count: int) -> Iterator[list[bytes]]:
    """Commands on whole databases; few of them remove everything."""
    for _ in range(count):
        draw = random.random()
        if draw < 0.45:
            yield [spelled(random, b"SELECT"), database(random)]
        elif draw < 0.7:
            yield [spelled(random, b"SWAPDB"), database(random), database(random)]
        elif draw < 0.98:
            yield [spelled(random, b"DBSIZE")]
        else:
            options = random.choice(([], [b"ASYNC"], [b"sync"], [b"FOO"], [b"ASYNC", b"SYNC"]))
            yield [spelled(random, random.choice((b"FLUSHDB", b"FLUSHALL"))), *options]


def transactions(random: Random, count: int) -> Iterator[list[bytes]]:
    """The commands around transactions; what other families draw meanwhile is queued."""
    for _ in range(count):
        draw = random.random()
        if draw < 0.35:
            yield [spelled(random, b"MULTI")]
        elif draw < 0.75:
            yield [spelled(random, b"EXEC")]
        elif draw < 0.82:
            yield [spelled(random, b"DISCARD")]
        elif draw < 0.9:
            yield [spelled(random, b"WATCH"), *(key(random) for _ in range(random.randrange(3)))]
        elif draw < 0.95:
            yield [spelled(random, b"UNWATCH")]
        else:
            yield random.choice(([b"exec", b"now"], [b"multi", b"1"], [b"nonsense", b"in", b"a", b"queue"]))


def connections(random: Random, count: int) -> Iterator[list[bytes]]:
    """Commands on the connection itself."""
    for _ in range(count):
        draw = random.random()
        if draw < 0.3:
            yield [spelled(random, b"PING"), *([value(random)] if random.random() < 0.5 else [])]
        elif draw < 0.5:
            yield [spelled(random, b"ECHO"), value(random)]
        elif draw < 0.7:
            names = (b"name", b"", b"with space", b"line\nbreak", b"other")
            yield [spelled(random, b"CLIENT"), spelled(random, b"SETNAME"), random.choice(names)]
        elif draw < 0.8:
            yield [spelled(random, b"CLIENT"), spelled(random, b"GETNAME")]
        elif draw < 0.9:
            switch = random.choice((b"on", b"off", b"ON", b"maybe"))
            yield [b"CLIENT", b"NO-EVICT", switch]  # NO-TOUCH came with 7.2; Debian 12 has 7.0
        else:
            yield random.choice(
                ([b"ping", b"a", b"b"], [b"echo"], [b"client"], [b"client", b"nonsense"], [b"select", b"x"], [b"auth"],
                 [b"hello", b"9"], [b"client", b"reply", b"maybe"], [b"no such command", b"a", b"b" * 200])
            )  # fmt: skip


FAMILIES: tuple[Family, ...] = (strings, strings, strings, expiry, expiry, keys, keys, keys, databases)
EVERYTHING: tuple[Family, ...] = (*FAMILIES, *FAMILIES, transactions, connections)


def mixed(random: Random, count: int, families: Sequence[Family] = FAMILIES) -> Iterator[list[bytes]]:
    """`count` commands of several families, drawn in turn at random."""
    streams = [family(random, count) for family in families]
    for _ in range(count):
        yield next(random.choice(streams))


def same_reply(command: Sequence[bytes], ours: bytes, theirs: bytes) -> bool:
    """Whether two raw replies to the command are the same but for what may differ: the clock, the order, the memory."""
    if ours == theirs:
        return True
    name = command[0].upper()
    if name == b"OBJECT":
        name += b" " + command[1].upper()
    if name in UNCOMPARED and ours[:1] == theirs[:1] and ours[:1] != b"-":
        return (ours[:2] == b"$-") == (theirs[:2] == b"$-")
    if {ours, theirs} in INTENDED.get(name, ()):
        return True
    if name == b"DBSIZE" and ours[:1] == theirs[:1] == b":":
        return int(ours[1:]) <= int(theirs[1:])  # Redis counts expired keys until it comes across them
    if name in UNORDERED and ours[:1] == theirs[:1] == b"*":
        return unordered(ours) == unordered(theirs)
    unit = TIMED_UNITS.get(name)
    if unit is None or ours[:1] != b":" or theirs[:1] != b":":
        return False
    mine, other = int(ours[1:]), int(theirs[1:])
    return mine > 0 and other > 0 and abs(mine - other) <= unit


def unordered(reply: bytes) -> list[object]:
    """An array of bulk strings, or a cursor and such an array, without its order."""
    return sorted(
        (unordered(part) if part[:1] == b"*" else part for part in resp.elements(reply.split(b"\r\n", 1)[1])), key=repr
    )
