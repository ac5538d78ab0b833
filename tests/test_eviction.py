"""Eviction policies: exact LRU against a plain list, the others by what they promise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.keyspace_probe import Keys, Watching

ALL = ["allkeys-lru", "allkeys-lfu", "allkeys-random"]
VOLATILE = ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
FAR_MS = 1_000_000_000
TICK_MS = 4


def keys_under(policy: str, shards: int = 4) -> Keys:
    keys = Keys(shards, lru_ordered=False)
    keys.configure(policy)
    return keys


names = st.integers(0, 11).map(lambda number: b"key:%d" % number)
databases = st.sampled_from([0, 3])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, databases, st.sampled_from([0, FAR_MS])),
        st.tuples(st.just("get"), names, databases, st.booleans()),
        st.tuples(st.just("expire"), names, databases, st.sampled_from([0, FAR_MS])),
        st.tuples(st.just("delete"), names, databases),
        st.tuples(st.just("flush"), databases),
        st.tuples(st.just("evict")),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(operations, st.sampled_from([1, 8]), st.booleans())
def test_lru_is_exact(script: list[tuple], shards: int, volatile_only: bool) -> None:
    """With every access in a tick of its own, the victim is the least recently used key of all shards and databases."""
    keys = keys_under("volatile-lru" if volatile_only else "allkeys-lru", shards)
    recency: dict[tuple[int, bytes], int] = {}  # least recently used first; the expiry in ms
    evicted = 0
    for kind, *args in script:
        keys.now_ms += TICK_MS
        if kind == "evict":
            victims = [key for key, expire in recency.items() if expire or not volatile_only]
            assert keys.evict() == ("done" if victims else "nothing")
            if victims:
                del recency[victims[0]]
                evicted += 1
        elif kind == "flush":
            keys.flush(args[0])
            recency = {key: expire for key, expire in recency.items() if key[0] != args[0]}
        else:
            name, database, *more = args
            place = (database, name)
            expire = recency.pop(place, None)
            if kind == "put":
                keys.put(name, b"value", more[0], database)
                recency[place] = more[0]
            elif kind == "get":
                assert (keys.get(name, database, more[0]) is None) == (expire is None)
                if expire is not None:
                    recency[place] = expire
            elif kind == "expire":
                keys.expire_at(name, more[0], database)
                if expire is not None:
                    recency[place] = more[0]
            else:
                keys.delete(name, database)
        assert keys.evicted() == evicted
        for database in (0, 3):
            assert sorted(keys.all_keys(database)) == sorted(name for at, name in recency if at == database)


@pytest.mark.parametrize("begin_ms", [1_000_000, 2**34 - 1000])
def test_lru_is_exact_over_many_shards(begin_ms: int) -> None:
    """Also where the 32 bits of ticks that an entry has begin anew, after 2**34 ms."""
    keys = keys_under("allkeys-lru", shards=64)
    keys.now_ms = begin_ms
    for number in range(512):
        keys.now_ms += TICK_MS
        keys.put(b"%d" % number, b"value")
    for number in range(0, 512, 2):
        keys.now_ms += TICK_MS
        keys.get(b"%d" % number)
    for number in [*range(1, 512, 2), *range(0, 512, 2)]:
        assert keys.evict() == "done"
        assert keys.about(b"%d" % number) is None


@pytest.mark.parametrize("policy", ALL + VOLATILE)
def test_each_key_that_may_go_goes_and_no_other(policy: str) -> None:
    keys = keys_under(policy)
    for number in range(300):
        keys.put(b"lasting:%d" % number, b"value", 0, number % 16)
        keys.put(b"volatile:%d" % number, b"value", FAR_MS + number, number % 16)
    may_go = 600 if policy in ALL else 300
    for left in range(may_go, 0, -1):
        assert keys.evict() == "done"
        assert sum(keys.count(database)[0] for database in range(16)) == left - 1 + 600 - may_go
    assert keys.evict() == "nothing"
    assert keys.evicted() == may_go
    assert sum(keys.count(database)[1] for database in range(16)) == 0


@pytest.mark.parametrize(
    ("policy", "lasting"), [("allkeys-random", 0), ("volatile-random", 0), ("volatile-random", 999)]
)
def test_random_spares_nobody(policy: str, lasting: int) -> None:
    keys = keys_under(policy)
    for number in range(lasting):
        keys.put(b"lasting:%d" % number, b"value")
    spared = {b"volatile:%d" % number for number in range(100)}
    for name in spared:
        keys.put(name, b"value", FAR_MS)
    for _ in range(5000):
        assert keys.evict() == "done"
        gone = {b"volatile:%d" % number for number in range(100)} - set(keys.all_keys())
        assert len(gone) == 1
        spared -= gone
        keys.put(gone.pop(), b"value", FAR_MS)
        if not spared:
            break
    assert not spared


def test_ttl_takes_what_expires_next() -> None:
    keys = keys_under("volatile-ttl")
    for number in range(1000):
        keys.put(b"%d" % number, b"value", FAR_MS + 1000 * number)
    for _ in range(100):
        keys.evict()
    gone = set(range(1000)) - {int(name) for name in keys.all_keys()}
    assert sum(gone) / 100 < 200


def test_ttl_is_exact_where_few_keys_expire() -> None:
    keys = keys_under("volatile-ttl", shards=1)
    for number in range(100):
        keys.put(b"lasting:%d" % number, b"value")
    for number in (5, 3, 8, 1, 9, 2):
        keys.put(b"%d" % number, b"value", FAR_MS + number)
    for number in (1, 2, 3, 5, 8, 9):
        assert keys.about(b"%d" % number) is not None
        assert keys.evict() == "done"
        assert keys.about(b"%d" % number) is None


@pytest.mark.parametrize("policy", ["allkeys-lfu", "volatile-lfu"])
def test_lfu_keeps_what_is_used_often(policy: str) -> None:
    keys = keys_under(policy)
    for number in range(300):
        keys.put(b"%d" % number, b"value", FAR_MS)
    for _ in range(100):
        for number in range(20):
            keys.get(b"%d" % number)
    for number in range(20, 300):
        assert keys.frequency(b"%d" % number) == 5
    for _ in range(200):
        keys.evict()
    assert {b"%d" % number for number in range(20)} <= set(keys.all_keys())


def test_frequency_grows_slowly_and_decays() -> None:
    keys = keys_under("allkeys-lfu")
    keys.put(b"a", b"value")
    counts = [keys.frequency(b"a")]
    for _ in range(1000):
        keys.get(b"a")
        counts.append(keys.frequency(b"a"))
    assert counts[0] == 5 and counts[10] >= 6 and 10 < counts[-1] < 60
    assert all(0 <= later - earlier <= 1 for earlier, later in zip(counts, counts[1:], strict=False))
    keys.now_ms += 3 * 60_000
    assert keys.frequency(b"a") == counts[-1] - 3
    keys.configure("allkeys-lfu", lfu_decay_minutes=0)
    assert keys.frequency(b"a") == counts[-1]
    keys.configure("allkeys-lfu", lfu_log_factor=0, lfu_decay_minutes=0)
    keys.get(b"a")
    assert keys.frequency(b"a") == counts[-1] + 1
    keys.put(b"a", b"other")
    assert keys.frequency(b"a") == counts[-1] + 2


def test_noeviction_evicts_nothing() -> None:
    keys = keys_under("noeviction")
    keys.put(b"a", b"value", FAR_MS)
    assert keys.evict() == "nothing"
    assert keys.all_keys() == [b"a"]


def test_order_begins_with_the_policy() -> None:
    keys = keys_under("noeviction", shards=1)
    for name in (b"a", b"b", b"c"):
        keys.now_ms += TICK_MS
        keys.put(name, b"value")
    keys.get(b"a")
    keys.configure("allkeys-lru")
    keys.now_ms += TICK_MS
    keys.get(b"b")
    for left in ([b"b", b"c"], [b"b"]):
        keys.evict()
        assert sorted(keys.all_keys()) == left


def test_changing_a_large_value_in_place_is_an_access() -> None:
    keys = keys_under("allkeys-lru", shards=1)
    for name in (b"a", b"b", b"c"):
        keys.now_ms += TICK_MS
        keys.put(name, bytes(5000))
    keys.now_ms += TICK_MS
    assert keys.splice(b"a", 0, b"changed") == ("ok", 5000)
    for left in ([b"a", b"c"], [b"a"]):
        keys.evict()
        assert sorted(keys.all_keys()) == left


def test_eviction_is_a_change() -> None:
    keys = keys_under("allkeys-lru")
    watching, other = Watching(keys), Watching(keys)
    keys.put(b"a", b"value")
    keys.now_ms += TICK_MS
    keys.put(b"b", b"value")
    watching.watch(b"a")
    other.watch(b"b")
    dirty = keys.dirty()
    keys.evict()
    assert keys.dirty() == dirty + 1
    assert watching.broken() and not other.broken()
    watching.clear()
    other.clear()


def test_expired_keys_make_room_without_being_counted() -> None:
    keys = keys_under("volatile-ttl")
    keys.put(b"a", b"value", keys.now_ms + 5)
    keys.now_ms += 10
    assert keys.evict() == "done"
    assert (keys.count(), keys.evicted()) == ((0, 0), 0)


def test_used_bytes_return_to_what_they_were() -> None:
    keys = keys_under("allkeys-random")
    keys.put(b"a", b"")
    keys.delete(b"a")
    before = keys.used()
    sizes = [0, 100, 3000, 300_000]
    for round_ in range(2):
        for number in range(200):
            keys.put(b"%d" % number, bytes(sizes[(number + round_) % 4]))
    assert keys.used() - before > 50 * sum(sizes)
    assert keys.evict_to(before + 40_000) == "done"
    assert keys.used() <= before + 40_000
    keys.flush()
    while keys.upkeep(4):
        pass
    assert keys.used() <= before


def test_a_slice_ends() -> None:
    keys = keys_under("allkeys-lru")
    for number in range(1000):
        keys.put(b"%d" % number, bytes(100))
    keys.configure("allkeys-lru", tenacity=0)
    assert keys.evict_to(1) == "running"
    assert keys.evicted() == 16
    while (result := keys.evict_to(1)) == "running":
        pass
    assert result == "nothing" and keys.count() == (0, 0)
