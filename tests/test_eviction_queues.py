"""The policies with queues against plain Python models, over shards and databases, and what they do beside."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from eviction_models import Climb, S3Fifo, Sieve, TinyLfu
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.keyspace_probe import Keys

FAR_MS = 1_000_000_000
MODELS = {"allkeys-sieve": Sieve, "allkeys-s3fifo": S3Fifo, "allkeys-tinylfu": TinyLfu}

# So few that no bucket of ghosts overflows: there are no more ghosts than keys.
names = st.integers(0, 7).map(lambda number: b"key:%d" % number)
databases = st.sampled_from([0, 3])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, databases, st.sampled_from([0, FAR_MS])),
        st.tuples(st.just("put"), names, databases, st.sampled_from([0, FAR_MS])),
        st.tuples(st.just("get"), names, databases, st.booleans()),
        st.tuples(st.just("expire"), names, databases, st.sampled_from([0, FAR_MS])),
        st.tuples(st.just("append"), names, databases),
        st.tuples(st.just("delete"), names, databases),
        st.tuples(st.just("evict")),
        st.tuples(st.just("evict")),
    ),
    max_size=150,
)


def keys_under(policy: str, shards: int = 4) -> Keys:
    keys = Keys(shards, lru_ordered=False)
    keys.configure(policy)
    return keys


def play(keys: Keys, model: Sieve | S3Fifo | TinyLfu, script: list[tuple]) -> None:
    there: set[tuple[int, bytes]] = set()
    for kind, *args in script:
        if kind == "evict":
            assert keys.evict() == ("done" if there else "nothing")
            if there:
                there.remove(model.evict())
            for database in (0, 3):
                assert sorted(keys.all_keys(database)) == sorted(name for at, name in there if at == database)
        else:
            name, database, *more = args
            name += b" of %d" % database  # hashes know nothing of databases
            place = (database, name)
            if kind == "put":
                keys.put(name, b"value" * (len(there) % 5), more[0], database)
            elif kind == "get":
                keys.get(name, database, more[0])
            elif kind == "append":
                keys.splice(name, 5, b"more", database)
            elif kind == "expire":
                keys.expire_at(name, more[0], database)
            else:
                keys.delete(name, database)
            if kind == "delete":
                if place in there:
                    model.remove(place)
                    there.remove(place)
            elif place in there:
                model.use(place)
            elif kind in ("put", "append"):
                model.insert(place)
                there.add(place)


@pytest.mark.parametrize("policy", MODELS)
@settings(deadline=None)
@given(operations, st.sampled_from([1, 8]))
def test_as_its_model(policy: str, script: list[tuple], shards: int) -> None:
    play(keys_under(policy, shards), MODELS[policy](), script)


@pytest.mark.parametrize("policy", MODELS)
def test_each_key_goes(policy: str) -> None:
    keys = keys_under(policy)
    for number in range(600):
        keys.put(b"%d" % number, b"value", FAR_MS if number % 2 else 0, number % 16)
        keys.get(b"%d" % (number // 2), number // 2 % 16)
    for left in range(600, 0, -1):
        assert keys.evict() == "done"
        assert sum(keys.count(database)[0] for database in range(16)) == left - 1
    assert keys.evict() == "nothing"
    assert keys.evicted() == 600


@pytest.mark.parametrize("policy", MODELS)
def test_a_scan_leaves_what_is_used(policy: str) -> None:
    keys = keys_under(policy, shards=16)
    for number in range(1000):
        keys.put(b"%d" % number, bytes(500))
    for _ in range(3):
        for number in range(500):
            keys.get(b"%d" % number)
    limit = keys.used()
    for number in range(20_000):
        keys.put(b"scan:%d" % number, bytes(500))
        if number % 10 == 0:
            keys.get(b"%d" % (number // 10 % 500))
        assert keys.evict_to(limit) == "done"
    assert sum(keys.get(b"%d" % number) is not None for number in range(500)) >= 450


@pytest.mark.parametrize("policy", MODELS)
@pytest.mark.parametrize("other", ["noeviction", "allkeys-lru", "volatile-ttl", "allkeys-lfu", *MODELS])
def test_the_policy_may_change(policy: str, other: str) -> None:
    keys = keys_under(other)
    for number in range(300):
        keys.put(b"%d" % number, b"value", FAR_MS if number % 2 else 0, number % 3)
        keys.get(b"%d" % (number // 2), number // 2 % 3)
    for one in (policy, other, policy):
        keys.configure(one)
        for number in range(50):
            keys.get(b"%d" % number, number % 3)
            keys.put(b"%d" % number, b"other", FAR_MS if number % 3 else 0, number % 3)
    for left in range(300, 0, -1):
        assert keys.evict() == "done"
        assert sum(keys.count(database)[0] for database in range(16)) == left - 1
    assert keys.evict() == "nothing"


@pytest.mark.parametrize("policy", MODELS)
def test_flush_and_swap(policy: str) -> None:
    keys = keys_under(policy)
    for number in range(100):
        keys.put(b"%d" % number, b"value", 0, number % 2)
    keys.swap(0, 1)
    keys.flush(1)
    for left in range(50, 0, -1):
        assert keys.evict() == "done"
        assert keys.count(0)[0] == left - 1
    assert keys.evict() == "nothing"


@pytest.mark.parametrize("policy", ["allkeys-sieve", "allkeys-s3fifo"])
def test_compaction_keeps_the_order(policy: str) -> None:
    keys, model = keys_under(policy, shards=1), MODELS[policy]()
    for number in range(4000):
        keys.put(b"%d" % number, b"value" * 20)
        model.insert((0, b"%d" % number))
    for number in range(4000):
        if number % 8:
            keys.delete(b"%d" % number)
            model.remove((0, b"%d" % number))
    while keys.upkeep(4):
        pass
    for _ in range(500):
        keys.evict()
        assert keys.about(model.evict()[1]) is None
    assert keys.count() == (0, 0)


def test_tinylfu_forgets() -> None:
    """What was frequent long ago does not keep its place for ever."""
    keys = keys_under("allkeys-tinylfu", shards=1)
    for number in range(100):
        keys.put(b"%d" % number, b"value")
        for _ in range(15):
            keys.get(b"%d" % number)
    limit = keys.used()
    for _ in range(150):  # all in all, ten uses an entry of 1,024
        for number in range(100):
            keys.put(b"new:%d" % number, b"value")
            assert keys.evict_to(limit) == "done"
    assert sum(keys.get(b"new:%d" % number) is not None for number in range(100)) > 50


def hit_ratios(keys: Keys, model: TinyLfu, trace: Iterable[int], entries: int) -> tuple[float, float]:
    """Of the engine and of the model as caches of so many entries, in the second half of the trace."""
    requests = [b"%d" % number for number in trace]
    there: set[bytes] = set()
    hits = model_hits = 0
    for at, name in enumerate(requests):
        counts = at >= len(requests) // 2
        if keys.get(name) is not None:
            hits += counts
        else:
            if keys.count()[0] >= entries:
                assert keys.evict() == "done"
            keys.put(name, b"value")
        if name in there:
            model_hits += counts
            model.use(name)
            continue
        if len(there) >= entries:
            there.remove(model.evict())
        model.insert(name)
        there.add(name)
    return hits / (len(requests) / 2), model_hits / (len(requests) / 2)


def loop() -> Iterable[int]:
    return (number % 130 for number in range(150_000))


def news() -> Iterable[int]:
    """What is new is asked for again, some times, and then no more."""
    source = random.Random(4)
    return (number // 4 + source.randrange(70) for number in range(150_000))


@pytest.mark.parametrize("shards", [1, 8])
def test_tinylfu_gives_its_window_up_in_a_loop(shards: int) -> None:
    keys = keys_under("allkeys-tinylfu", shards)
    ratio, model_ratio = hit_ratios(keys, TinyLfu(), loop(), 100)
    assert keys.window_share() < Climb.FIRST
    assert min(ratio, model_ratio) > 0.65  # 100 of 130 would be the best


@pytest.mark.parametrize("shards", [1, 8])
def test_tinylfu_widens_its_window_for_news(shards: int) -> None:
    keys = keys_under("allkeys-tinylfu", shards)
    ratio, model_ratio = hit_ratios(keys, TinyLfu(), news(), 60)
    assert keys.window_share() > 3 * Climb.FIRST
    assert abs(ratio - model_ratio) < 0.05


def test_tinylfu_begins_with_a_tenth() -> None:
    keys = keys_under("allkeys-tinylfu")
    keys.put(b"a", b"value")
    assert keys.window_share() == 0
    keys.evict()
    assert keys.window_share() == Climb.FIRST
