"""The commands on keys, databases and objects against a redis-server: scripts and random commands, reply by reply.

kvcy's sessions run in this process, the redis-server is a child (see redis_server.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from random import Random

import generators
import pytest
import redis_server
import scripts
import test_databases
import test_keys
import test_objects
import test_scan
from generators import Family
from redis_server import Connection
from session_runner import SessionRunner

SCRIPTS = {**test_keys.SCRIPTS, **test_databases.SCRIPTS, **test_objects.SCRIPTS, **test_scan.SCRIPTS}
BATCH = 25


@pytest.fixture(scope="module")
def server() -> Iterator[Connection]:
    with redis_server.running() as connection:
        yield connection


@pytest.fixture
def redis(server: Connection) -> Connection:
    assert server.run([["SELECT", "0"], ["FLUSHALL"]]) == [b"+OK\r\n"] * 2
    return server


@pytest.mark.parametrize("name", SCRIPTS)
def test_expectations_hold_on_redis(redis: Connection, name: str) -> None:
    redis.run([["HELLO", "2"]])
    scripts.check(redis, SCRIPTS[name])


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    ("families", "count", "seed"),
    [
        pytest.param([generators.strings, generators.keys], 4000, 11, id="keys and strings"),
        pytest.param([generators.keys, generators.databases, generators.strings], 4000, 12, id="databases"),
        pytest.param(generators.FAMILIES, 6000, 13, id="all"),
    ],
)
def test_replies_are_the_same(redis: Connection, families: list[Family], count: int, seed: int, protocol: int) -> None:
    runner = SessionRunner(protocol)
    redis.run([["HELLO", str(protocol)], ["CONFIG", "RESETSTAT"]])
    commands = list(generators.mixed(Random(seed), count, families))
    for start in range(0, count, BATCH):
        batch = commands[start : start + BATCH]
        runner.server.now_ms = time.time_ns() // 1_000_000
        for command, ours, theirs in zip(batch, runner.run(batch), redis.run(batch), strict=True):
            assert generators.same_reply(command, ours, theirs), (
                f"seed {seed}, near command {start}: {command!r}\nkvcy  {ours[:500]!r}\nredis {theirs[:500]!r}"
            )


READERS = """
    DEL k, UNLINK k, EXISTS k k, TYPE k, TOUCH k, RENAME k k, RENAME k j, RENAMENX k k, RENAMENX k j, COPY k j,
    COPY k k DB 1, COPY k l, MOVE k 1, KEYS *, KEYS k, SCAN 0, RANDOMKEY, DBSIZE, OBJECT ENCODING k,
    OBJECT REFCOUNT k, OBJECT IDLETIME k, OBJECT FREQ k, MEMORY USAGE k
""".split(",")


def redis_hits_and_misses(redis: Connection) -> tuple[int, ...]:
    (statistics,) = redis.run([["INFO", "stats"]])
    return tuple(int(number) for number in re.findall(rb"keyspace_(?:hits|misses):([0-9]+)", statistics))


@pytest.mark.parametrize("there", [True, False])
def test_hits_and_misses_are_counted_alike(redis: Connection, there: bool) -> None:
    """For SCAN ... TYPE they are not: Redis counts a hit for every key that it looks at."""
    runner = SessionRunner()
    redis.run([["HELLO", "2"]])
    for command in READERS:
        setup = [["FLUSHALL"], ["SET", "l", "1"], *([["SET", "k", "v"]] if there else [])]
        runner.run(setup)
        redis.run([*setup, ["CONFIG", "RESETSTAT"]])
        before = runner.server.hits_and_misses
        runner.run([command.split()])
        redis.run([command.split()])
        ours = tuple(after - start for start, after in zip(before, runner.server.hits_and_misses, strict=True))
        assert ours == redis_hits_and_misses(redis), command
