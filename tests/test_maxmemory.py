"""maxmemory in a running server: memory stays at the limit, and what the policy wants to keep stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random

import kvcy_server
import pytest
import redis

LIMIT = 4_000_000
VALUE = bytes(1000)
LARGE = bytes(100_000)
OOM = "command not allowed when used memory > 'maxmemory'"


@pytest.fixture(scope="module")
def server() -> Iterator[kvcy_server.Server]:
    with kvcy_server.running("--save", "", "--maxmemory-samples", "7") as one:
        yield one


@pytest.fixture
def client(server: kvcy_server.Server) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as one:
        one.config_set("maxmemory", 0)
        one.config_set("maxmemory-policy", "noeviction")
        one.flushall()
        one.config_resetstat()
        yield one


def limit(client: redis.Redis, policy: str, size_bytes: int = LIMIT) -> None:
    client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory", size_bytes)


def write(client: redis.Redis, prefix: str, count: int, ttl_s: int | None = None) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        pipeline.set(f"{prefix}:{number}", VALUE, ex=ttl_s)
        if number % 500 == 499:
            pipeline.execute()
    pipeline.execute()


def used(client: redis.Redis) -> int:
    """Without what clients' buffers take."""
    memory = client.info("memory")
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"])


def settle(client: redis.Redis, size_bytes: int = LIMIT) -> None:
    """Waits until eviction, which goes on in the background, has reached the limit."""
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while used(client) > size_bytes:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-sieve", "allkeys-s3fifo",
                                    "allkeys-tinylfu", "volatile-lru", "volatile-lfu", "volatile-random",
                                    "volatile-ttl"])  # fmt: skip
def test_memory_stays_at_the_limit(client: redis.Redis, policy: str) -> None:
    limit(client, policy)
    write(client, "a", 10 * LIMIT // len(VALUE), ttl_s=1000)
    assert 0.9 * LIMIT < used(client) < LIMIT + 100_000
    client.config_set("maxmemory", 0)  # from here on nothing is evicted
    assert client.info("stats")["evicted_keys"] == 10 * LIMIT // len(VALUE) - client.dbsize()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-sieve", "allkeys-s3fifo", "allkeys-tinylfu"])
def test_hot_keys_survive(client: redis.Redis, policy: str) -> None:
    limit(client, policy)
    write(client, "hot", 100)
    for number in range(100):
        write(client, f"cold:{number}", 200)
        assert None not in client.mget([f"hot:{hot}" for hot in range(100)])


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_writes_are_refused_when_nothing_may_go(client: redis.Redis, policy: str) -> None:
    limit(client, policy)
    with pytest.raises(redis.ResponseError, match=OOM):
        write(client, "a", 2 * LIMIT // len(VALUE))
    for attempt in range(100):  # what the pipeline's buffers took has room for more, and goes back little by little
        with pytest.raises(redis.ResponseError, match=OOM):
            for number in range(1000):
                client.set(f"more:{attempt}:{number}", VALUE)
        keys = client.dbsize()
        try:
            client.set("b", VALUE)
        except redis.ResponseError as error:
            assert str(error).startswith(OOM)
            break
    else:
        pytest.fail("a write is never refused twice in a row")
    assert client.get("a:0") == VALUE and client.dbsize() == keys
    assert client.info("stats")["evicted_keys"] == 0
    assert client.delete("a:0", "a:1", "a:2") == 3
    assert client.set("b", VALUE)


@pytest.mark.parametrize("size", [100, 1000, 100_000])
@pytest.mark.parametrize("words", ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHALL SYNC", "FLUSHDB"])
def test_a_flush_makes_room_at_once(client: redis.Redis, words: str, size: int) -> None:
    """What was flushed is freed in the background; nobody need wait for that."""
    room = LIMIT if size < 100_000 else 20 * LIMIT
    empty = used(client)
    limit(client, "noeviction", room)
    for _ in range(5):
        pipeline = client.pipeline(transaction=False)
        for number in range(room // size + 20):
            pipeline.set(f"a:{number}", bytes(size))
        assert isinstance(pipeline.execute(raise_on_error=False)[-1], redis.ResponseError)
        pipeline.execute_command(*words.split())
        pipeline.info("memory")
        for number in range(room // size // 2 if size > 1000 else 1000):
            pipeline.set(f"b:{number}", bytes(size))
        flushed, memory, *sets = pipeline.execute()
        assert flushed and sets == [True] * len(sets)
        assert memory["used_memory"] - memory["mem_clients_normal"] < empty + 100_000 + 3 * size


def test_volatile_keys_make_room_for_lasting_ones(client: redis.Redis) -> None:
    write(client, "volatile", 1000, ttl_s=1000)
    write(client, "lasting", 1000)
    limit(client, "volatile-ttl", used(client))
    write(client, "more", 500)
    assert len(client.keys("lasting:*")) == 1000 and len(client.keys("more:*")) == 500
    assert 300 <= client.info("stats")["evicted_keys"] <= 600


def test_a_large_value_pushes_out_many_small_ones(client: redis.Redis) -> None:
    limit(client, "allkeys-lru")
    write(client, "a", 2 * LIMIT // len(VALUE))
    before = client.dbsize()
    client.set("large", bytes(2_000_000))
    settle(client)
    assert client.strlen("large") == 2_000_000
    assert client.dbsize() < before - 1500


def test_a_transaction_evicts_before_it_runs(client: redis.Redis) -> None:
    limit(client, "allkeys-lru")
    write(client, "a", 2 * LIMIT // len(VALUE))
    pipeline = client.pipeline(transaction=True)
    for number in range(100):
        pipeline.set(f"b:{number}", VALUE)
    assert pipeline.execute() == [True] * 100
    settle(client)
    assert len(client.keys("b:*")) == 100


def test_a_lower_limit_is_reached_without_any_command(client: redis.Redis) -> None:
    write(client, "a", 20_000)
    limit(client, "allkeys-lru", LIMIT)
    settle(client)
    assert 0.9 * LIMIT < used(client) <= LIMIT
    assert client.info("stats")["evicted_keys"] == 20_000 - client.dbsize()


def test_a_policy_with_queues_takes_over_what_was_loaded() -> None:
    """A snapshot's keys come in before anybody evicts."""
    with kvcy_server.running("--appendonly", "yes", "--save", "") as server:
        with redis.Redis(port=server.port) as client:
            directory = client.config_get("dir")["dir"]
            write(client, "a", LIMIT // len(VALUE) // 2)
            client.save()
        server.stop()
        options = ("--appendonly", "yes", "--dir", directory, "--maxmemory-policy", "allkeys-s3fifo")
        with kvcy_server.running(*options) as again, redis.Redis(port=again.port) as client:
            assert client.dbsize() == LIMIT // len(VALUE) // 2
            client.config_set("maxmemory", LIMIT // 4)
            settle(client, LIMIT // 4)
            write(client, "b", LIMIT // len(VALUE))
            assert used(client) < LIMIT // 4 + 100_000


def test_object_freq_and_idletime_follow_the_policy(client: redis.Redis) -> None:
    client.set("a", "b")
    with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is not selected, access frequency not"):
        client.object("freq", "a")
    assert client.object("idletime", "a") == 0
    client.config_set("maxmemory-policy", "volatile-lfu")
    client.set("c", "d")
    assert client.object("freq", "c") == 5
    assert client.object("freq", "none") is None
    with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is selected, idle time not tracked"):
        client.object("idletime", "c")
    client.config_set("maxmemory-policy", "allkeys-sieve")
    with pytest.raises(redis.ResponseError, match="The selected maxmemory policy does not track idle time"):
        client.object("idletime", "c")
    with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is not selected, access frequency not"):
        client.object("freq", "c")
    client.config_set("maxmemory-policy", "noeviction")
    assert client.object("idletime", "c") == 0


def test_evictions_are_logged() -> None:
    """No reply under `always` shows what a kill could undo."""
    options = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru",
               "--maxmemory", str(LIMIT))  # fmt: skip
    with kvcy_server.running(*options) as server:
        with redis.Redis(port=server.port) as client:
            directory = client.config_get("dir")["dir"]
            write(client, "a", 3 * LIMIT // len(VALUE))
            client.config_set("maxmemory", 0)
            keys = sorted(client.keys())
            assert client.info("stats")["evicted_keys"] > 0
        server.stop(9)
        with (
            kvcy_server.running("--appendonly", "yes", "--dir", directory) as again,
            redis.Redis(port=again.port) as client,
        ):
            assert sorted(client.keys()) == keys


@pytest.mark.parametrize("policy", ["allkeys-sieve", "allkeys-s3fifo", "allkeys-tinylfu"])
def test_none_is_refused_where_several_evict(policy: str) -> None:
    """Few keys, all large: the queues are short, and what one thread is about to evict another has evicted or moved."""
    options = ["--appendonly", "no", "--io-threads", "3", "--maxmemory", "2mb", "--maxmemory-policy", policy]
    refused = []

    def write_and_read(client: kvcy_server.Client, seed: int) -> None:
        random = Random(seed)
        with client:
            for _ in range(100):
                keys = [b"key:%d" % random.randrange(40) for _ in range(50)]
                client.send(*([b"GET", key] if random.random() < 0.4 else [b"SET", key, LARGE] for key in keys))
                refused.extend(reply for reply in (client.read() for _ in keys) if reply.startswith(b"-"))

    with kvcy_server.running(*options) as server:
        threads = [threading.Thread(target=write_and_read, args=(server.connect(), seed)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert refused == []
