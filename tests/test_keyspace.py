"""The typed operations of the keyspace against a dict, and each of its promises by name."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.keyspace_probe import Keys, Watching, blocks_bytes, leaving_bytes

SIZES = [0, 1, 7, 8, 40, 100, 1000, 2031, 2032, 2048, 2049, 5000, 40000]


def value_of(size: int, seed: int) -> bytes:
    return bytes((seed + i * 7) % 251 for i in range(size))


names = st.sampled_from([b"a", b"b", b"", b"\x00\xff", b"k" * 1023, b"k" * 1024, b"k" * 1025, b"key:7", b"key:8"])
databases = st.sampled_from([0, 1])
values = st.builds(value_of, st.sampled_from(SIZES), st.integers(0, 250))
expiries = st.sampled_from([0, 0, -1, 5, 50, 10_000])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, values, expiries, databases),
        st.tuples(st.just("get"), names, databases, st.booleans()),
        st.tuples(st.just("delete"), names, databases),
        st.tuples(st.just("expire"), names, st.sampled_from([0, -5, 5, 50, 10_000]), databases),
        st.tuples(st.just("splice"), names, st.sampled_from([0, 1, 9, 2000, 30000]), values, databases),
        st.tuples(st.just("rename"), names, names, databases, databases, st.booleans()),
        st.tuples(st.just("copy"), names, names, databases, databases, st.booleans()),
        st.tuples(st.just("flush"), st.sampled_from([-1, 0, 1])),
        st.tuples(st.just("swap"), databases, databases),
        st.tuples(st.just("tick"), st.sampled_from([1, 6, 60])),
        st.tuples(st.just("upkeep"), st.integers(1, 8)),
    ),
    max_size=60,
)


class Model:
    """What the keyspace should hold: per database, key -> [value, expiry in ms]."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.databases: list[dict[bytes, list]] = [{}, {}]

    def live(self, database: int) -> dict[bytes, list]:
        keys = self.databases[database]
        for key in [k for k, (_, expire) in keys.items() if expire and expire <= self.now_ms]:
            del keys[key]
        return keys


def step(keys: Keys, model: Model, operation: tuple) -> None:
    kind, *args = operation
    if kind == "put":
        name, value, ttl, database = args
        live = model.live(database)
        expire = {0: 0, -1: live[name][1] if name in live else 0}.get(ttl, model.now_ms + ttl)
        assert keys.put(name, value, -1 if ttl == -1 else expire, database) == "ok"
        live[name] = [value, expire]
    elif kind == "get":
        name, database, exclusive = args
        live = model.live(database)
        assert keys.get(name, database, exclusive) == (live[name][0] if name in live else None)
    elif kind == "delete":
        name, database = args
        assert keys.delete(name, database) == (model.live(database).pop(name, None) is not None)
    elif kind == "expire":
        name, ttl, database = args
        live = model.live(database)
        status = keys.expire_at(name, model.now_ms + ttl if ttl else 0, database)
        assert status == ("ok" if name in live else "not found")
        if name in live:
            live[name][1] = model.now_ms + ttl if ttl else 0
            model.live(database)
    elif kind == "splice":
        name, offset, value, database = args
        live = model.live(database)
        old, expire = live.get(name, [b"", 0])
        new = old.ljust(offset, b"\0")[:offset] + value + old[offset + len(value) :]
        assert keys.splice(name, offset, value, database) == ("ok", len(new))
        live[name] = [new, expire]
    elif kind in ("rename", "copy"):
        move(keys, model, kind, *args)
    elif kind == "flush":
        keys.flush(args[0])
        for database in range(2):
            if args[0] in (-1, database):
                model.databases[database].clear()
    elif kind == "swap":
        keys.swap(*args)
        first, second = args
        model.databases[first], model.databases[second] = model.databases[second], model.databases[first]
    elif kind == "tick":
        model.now_ms += args[0]
        keys.now_ms = model.now_ms
    else:
        keys.upkeep(args[0])


def move(
    keys: Keys, model: Model, kind: str, source: bytes, target: bytes, database: int, to: int, replace: bool
) -> None:
    same = source == target and database == to
    if kind == "copy" and same:
        return
    live, there = model.live(database), model.live(to)
    expected = "ok"
    if source not in live:
        expected = "not found"
    elif target in there and not replace:
        expected = "exists"
    assert getattr(keys, kind)(source, target, database, to, replace) == expected
    if expected == "ok" and not same:
        there[target] = list(live[source])
        if kind == "rename":
            del live[source]


@settings(max_examples=examples(300), deadline=None)
@given(operations, st.sampled_from([1, 4, 64]), st.booleans())
def test_operations_match_a_dict(script: list[tuple], shards: int, lru_ordered: bool) -> None:
    keys, model = Keys(shards, lru_ordered), Model()
    for operation in script:
        step(keys, model, operation)
        assert keys.held() == keys.held_by_entries()[:2]
    for database in range(2):
        live = model.live(database)
        assert sorted(keys.all_keys(database)) == sorted(live)
        for name, (value, expire) in live.items():
            assert keys.get(name, database) == value
            assert keys.about(name, database)[0] == expire
        for name in [b"a", b"b", b"", b"key:7"]:
            keys.get(name, database, True)  # removes what has expired
    listed = [name for shard in range(shards) for kind in (False, True) for name in keys.lru(shard, 0, kind)]
    assert len(listed) == keys.count(0)[0]
    assert keys.try_lock_all(True)


def test_many_keys_are_counted_walked_and_found() -> None:
    keys = Keys(8)
    names = [b"key:%d" % i for i in range(30_000)]
    for name in names:
        assert keys.put(name, name) == "ok"
    assert keys.count() == (30_000, 0)
    assert sorted(keys.all_keys(count=100)) == sorted(names)
    for name in names[::2]:
        assert keys.delete(name)
    assert sorted(keys.all_keys(count=100)) == sorted(names[1::2])
    assert all(keys.get(name) == name for name in names[1::2])
    assert not any(keys.get(name) for name in names[::2])


def test_a_walk_meets_every_key_that_stays_while_others_come_and_go() -> None:
    keys = Keys(2)
    staying = {b"stay:%d" % i for i in range(500)}
    for name in staying:
        keys.put(name, b"")
    seen, cursor = keys.walk(0, 10)
    round_ = 0
    while cursor:
        for i in range(100):
            keys.put(b"new:%d:%d" % (round_, i), b"")
            if round_ % 3 == 2:
                keys.delete(b"new:%d:%d" % (round_ - 1, i))
        more, cursor = keys.walk(cursor, 10)
        seen += more
        round_ += 1
    assert staying <= set(seen)
    assert len([name for name in seen if name in staying]) == len(staying)


def test_an_expired_key_is_hidden_from_shared_reads_and_then_removed() -> None:
    keys = Keys(1)
    keys.put(b"k", b"v", keys.now_ms + 10)
    keys.now_ms += 10
    assert keys.count() == (1, 1)
    assert keys.about(b"k") is None
    assert keys.get(b"k") is None
    assert keys.count() == (0, 0)


def test_reads_move_keys_to_the_head_of_the_list_none_dropped() -> None:
    keys = Keys(1)
    names = [b"%d" % i for i in range(40)]
    for name in names:
        keys.put(name, b"v")
    for name in names:
        assert keys.get(name) == b"v"
    assert keys.try_lock_all(True)  # what was read under shared locks is applied
    keys.put(b"last", b"v")
    assert keys.lru(0) == [b"last", *reversed(names)]


def test_none_are_dropped_where_a_reader_may_not_wait_for_a_lock() -> None:
    keys = Keys(1)
    names = [b"%d" % i for i in range(3000)]
    for name in names:
        keys.put(name, b"v", database=len(name) % 2)
    for seed in range(2):
        random.Random(seed).shuffle(names)
        for name in names:
            assert keys.get(name, len(name) % 2, settles=False) == b"v"
        assert keys.try_lock_all(True)  # what was read under shared locks is applied
        for database in range(2):
            assert keys.lru(0, database) == [name for name in reversed(names) if len(name) % 2 == database]
    keys.get(names[0], len(names[0]) % 2, settles=False)
    keys.flush(len(names[0]) % 2)
    assert keys.lru(0, len(names[0]) % 2) == []


def test_without_an_ordering_policy_reads_move_nothing() -> None:
    keys = Keys(1, lru_ordered=False)
    for name in (b"1", b"2", b"3"):
        keys.put(name, b"v")
    keys.get(b"1")
    keys.put(b"2", b"w")
    assert keys.lru(0) == [b"3", b"2", b"1"]


def test_idle_time_counts_from_the_last_access() -> None:
    keys = Keys(1)
    keys.put(b"k", b"v")
    keys.now_ms += 5_000
    assert keys.about(b"k")[2] == 5
    keys.get(b"k")
    assert keys.about(b"k")[2] == 0


def test_splicing_marks_a_value_as_edited_and_putting_clears_it() -> None:
    keys = Keys(1)
    keys.splice(b"k", 0, b"abc")
    assert keys.about(b"k")[1] is True
    keys.put(b"k", b"abc")
    assert keys.about(b"k")[1] is False
    keys.splice(b"k", 3, b"def")
    assert keys.about(b"k")[1] is True
    assert keys.get(b"k") == b"abcdef"
    keys.put(b"k", b"x")
    assert keys.about(b"k")[1] is False


def test_a_value_beyond_512_mb_is_refused() -> None:
    keys = Keys(1)
    assert keys.splice(b"k", 512 * 1024 * 1024, b"x") == ("too large", 0)
    assert keys.get(b"k") is None


def test_without_memory_nothing_changes() -> None:
    keys = Keys(1)
    keys.put(b"there", b"v" * 100)
    keys.limit_pages(1)
    stored = []
    for i in range(2_000):
        status = keys.put(b"%d" % i, b"v" * 200)
        if status == "no memory":
            break
        stored.append(b"%d" % i)
    assert status == "no memory"
    assert keys.get(b"%d" % len(stored)) is None
    assert keys.get(b"there") == b"v" * 100
    assert keys.count()[0] == len(stored) + 1
    keys.limit_pages(0)
    assert keys.put(b"%d" % len(stored), b"v" * 200) == "ok"


def test_random_keys_come_from_the_shard() -> None:
    keys = Keys(1)
    assert keys.random(0, 123) is None
    keys.put(b"gone", b"", keys.now_ms + 1)
    keys.now_ms += 1
    assert keys.random(0, 123) is None
    names = {b"%d" % i for i in range(100)}
    for name in names:
        keys.put(name, b"")
    source = random.Random(1)
    drawn = Counter(keys.random(0, source.getrandbits(64)) for _ in range(10_000))
    assert drawn.keys() == names
    assert min(drawn.values()) > 50


def test_a_random_key_is_found_among_many_that_expired() -> None:
    """More places are empty or expired than are drawn at random."""
    keys = Keys(1)
    for i in range(50_000):
        keys.put(b"%d" % i, b"", keys.now_ms + 1)
    keys.put(b"here", b"")
    keys.now_ms += 1
    assert {keys.random(0, i << 57) for i in range(100)} == {b"here"}


def test_prefetching_touches_nothing() -> None:
    keys = Keys(4)
    keys.prefetch(b"missing")
    for i in range(1_000):
        keys.put(b"%d" % i, b"")
        keys.prefetch(b"%d" % i)
    assert keys.get(b"7") == b""


def test_watch_sees_changes_deletions_and_expiry_of_its_own_keys_only() -> None:
    keys = Keys(1)
    keys.put(b"k", b"v")
    keys.put(b"other", b"v")

    def broken_by(change) -> bool:
        client = Watching(keys)
        assert client.watch(b"k") and client.watch(b"k") and client.watch(b"missing")
        change()
        broken = client.broken()
        client.clear()
        assert not client.broken()
        return broken

    assert not broken_by(lambda: None)
    assert not broken_by(lambda: keys.put(b"other", b"w"))
    assert not broken_by(lambda: keys.put(b"k", b"w", database=1))
    assert not broken_by(lambda: keys.get(b"k"))
    assert not broken_by(lambda: keys.delete(b"nothing"))
    assert broken_by(lambda: keys.put(b"k", b"v"))
    assert broken_by(lambda: keys.put(b"missing", b"v"))
    assert broken_by(lambda: keys.expire_at(b"k", keys.now_ms + 50))

    def pass_time() -> None:
        keys.now_ms += 100

    assert broken_by(pass_time)
    assert not broken_by(lambda: keys.get(b"k"))  # it had expired before it was watched
    keys.put(b"k", b"v")
    assert broken_by(lambda: keys.delete(b"k"))
    keys.put(b"k", b"v")
    assert broken_by(lambda: keys.flush(0))
    keys.put(b"k", b"v")
    assert not broken_by(lambda: keys.flush(1))
    assert not broken_by(lambda: keys.swap(2, 3))
    assert broken_by(lambda: keys.swap(0, 2))


def test_flushed_memory_comes_back_by_upkeep() -> None:
    keys = Keys(4)
    empty = keys.memory()
    for i in range(5_000):
        keys.put(b"%d" % i, b"v" * 100)
    keys.put(b"large", b"v" * 1_000_000)
    assert keys.memory() > empty + 1_500_000
    keys.flush()
    while keys.upkeep(4):
        pass
    assert keys.memory() < empty + 20_000


def fill(keys: Keys, size: int) -> None:
    for i in range(300):
        keys.put(b"%d" % i, bytes(size), keys.now_ms + 1000 if i % 3 else 0, i % 2)
    keys.put(b"k" * 5000, bytes(size))
    keys.ordered_always(True)
    while keys.upkeep(4):
        pass


@pytest.mark.parametrize("size", [10, 1000, 5000, 100_000, 300_000])
@pytest.mark.parametrize("database", [None, -1, 0, 1])
def test_a_flush_leaves_nothing_used_at_once(size: int, database: int | None) -> None:
    """Before anything is freed; `None` is a database after the other."""
    before, leaving, keys = blocks_bytes(), leaving_bytes(), Keys(4)
    empty = keys.used()
    fill(keys, size)
    if database in (0, 1):
        keys.flush(1 - database)
        while keys.upkeep(4):
            pass
    full = keys.used()
    assert full > empty + 150 * size
    for each in (0, 1) if database is None else (database,):
        keys.flush(each)
    assert blocks_bytes()[0] > before[0] + 100 * size or size < 5000
    assert keys.used() == empty
    while keys.upkeep(4):
        assert keys.used() <= empty
    assert keys.used() == empty and blocks_bytes() == before and leaving_bytes() == leaving


@pytest.mark.parametrize("size", [5000, 300_000])
def test_what_was_renamed_copied_swapped_and_grown_leaves_with_a_flush(size: int) -> None:
    before, leaving, keys = blocks_bytes(), leaving_bytes(), Keys(4)
    empty = keys.used()
    fill(keys, size)
    for i in range(300):
        assert keys.rename(b"%d" % i, b"new:%d" % i, i % 2, i % 3 % 2) == "ok"
    assert keys.held_by_entries()[2] == 0
    for i in range(100):
        assert keys.splice(b"new:%d" % i, size, b"v" * size, i % 3 % 2) == ("ok", 2 * size)
    for i in range(100, 200):
        assert keys.copy(b"new:%d" % i, b"copy", i % 3 % 2, 2) == "ok"
    assert keys.held() == keys.held_by_entries()[:2]
    assert keys.held_by_entries()[2] > 0
    keys.swap(0, 3)
    assert keys.held() == keys.held_by_entries()[:2]
    keys.flush(2)
    shared = keys.held_by_entries()[2]
    keys.flush()
    assert keys.used() == empty + shared
    while keys.upkeep(4):
        pass
    assert keys.used() == empty and blocks_bytes() == before and leaving_bytes() == leaving


def test_a_copy_that_stays_counts_when_its_source_is_flushed() -> None:
    keys = Keys(4)
    keys.put(b"a", value_of(100_000, 1))
    keys.put(b"b", value_of(100_000, 1))
    assert keys.copy(b"a", b"c", 0, 1) == "ok"
    used = keys.used()
    keys.flush(0)
    assert used - 110_000 < keys.used() < used - 99_000
    while keys.upkeep(4):
        pass
    assert used - 110_000 < keys.used() < used - 99_000
    assert keys.get(b"c", 1) == value_of(100_000, 1)


def test_a_copy_without_memory_shares_nothing() -> None:
    keys = Keys(4)
    keys.put(b"a", value_of(100_000, 1))
    held = keys.held()
    keys.limit_pages(1)
    assert keys.copy(b"a", b"c", 0, 1) == "no memory"
    assert keys.held() == held == keys.held_by_entries()[:2]
