"""The string and expiry commands against a redis-server: scripts and random commands, reply by reply.

kvcy runs in this process, handler by handler and through a session; the redis-server is a child (see redis_server.py).
The larger comparison, over sockets and of all families, is another test's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

import generators
import pytest
import redis_server
import scripts
import test_expiry
import test_numbers
import test_ranges
import test_strings
from generators import Family
from local import Local, Piped
from redis_server import Connection

SCRIPTS = {**test_strings.SCRIPTS, **test_ranges.SCRIPTS, **test_numbers.SCRIPTS, **test_expiry.SCRIPTS}
BATCH = 25


@pytest.fixture(scope="module")
def server() -> Iterator[Connection]:
    with redis_server.running() as connection:
        yield connection


@pytest.fixture
def redis(server: Connection) -> Connection:
    assert server.run([["FLUSHALL"]]) == [b"+OK\r\n"]
    return server


@pytest.mark.parametrize("name", SCRIPTS)
def test_expectations_hold_on_redis(redis: Connection, name: str) -> None:
    scripts.check(redis, SCRIPTS[name])


@pytest.mark.parametrize("name", SCRIPTS)
def test_expectations_hold_through_a_session(name: str) -> None:
    scripts.check(Piped(), SCRIPTS[name])


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("runner", [Local, Piped])
@pytest.mark.parametrize(
    ("families", "count", "seed"),
    [
        pytest.param([generators.strings], 4000, 1, id="strings"),
        pytest.param([generators.strings, generators.expiry], 4000, 2, id="strings and expiry"),
        pytest.param([generators.expiry, generators.expiry, generators.strings], 4000, 3, id="mostly expiry"),
    ],
)
def test_replies_are_the_same(
    redis: Connection, runner: type[Local | Piped], families: list[Family], count: int, seed: int, protocol: int
) -> None:
    local = runner(protocol)
    redis.run([["HELLO", str(protocol)], ["CONFIG", "RESETSTAT"]])
    commands = list(generators.mixed(Random(seed), count, families))
    for start in range(0, count, BATCH):
        batch = commands[start : start + BATCH]
        local.set_clock(time.time_ns() // 1_000_000)
        for command, ours, theirs in zip(batch, local.run(batch), redis.run(batch), strict=True):
            assert generators.same_reply(command, ours, theirs), (
                f"seed {seed}, near command {start}: {command!r}\nkvcy  {ours[:500]!r}\nredis {theirs[:500]!r}"
            )
    (statistics,) = redis.run([["INFO", "stats"]])
    assert b"keyspace_hits:%d\r\nkeyspace_misses:%d\r\n" % local.hits_and_misses() in statistics
