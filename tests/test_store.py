"""The embedded store: a mapping, with times to live and commands, from one thread and from many."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator, MutableMapping

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import kvcy


@pytest.fixture
def store() -> Iterator[kvcy.Store]:
    with kvcy.open(shards=8) as opened:
        yield opened


def test_it_is_a_mutable_mapping(store: kvcy.Store) -> None:
    assert isinstance(store, MutableMapping)
    store[b"a"] = b"1"
    store.update({b"b": b"2", b"c": b"3"})
    assert store[b"a"] == b"1"
    assert b"b" in store
    assert b"x" not in store
    assert len(store) == 3
    assert sorted(store) == sorted(store.keys()) == [b"a", b"b", b"c"]
    assert sorted(store.items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert sorted(store.values()) == [b"1", b"2", b"3"]
    assert store.pop(b"a") == b"1"
    assert store.pop(b"a", None) is None
    assert store.setdefault(b"b", b"9") == b"2"
    assert store.get(b"missing", b"default") == b"default"
    del store[b"b"]
    with pytest.raises(KeyError, match="b'b'"):
        del store[b"b"]
    with pytest.raises(KeyError):
        store[b"b"]
    store.clear()
    assert len(store) == 0


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=3000), st.booleans()), max_size=50))
def test_it_holds_what_a_dict_would(script: list[tuple[bytes, bytes, bool]]) -> None:
    model: dict[bytes, bytes] = {}
    with kvcy.open(shards=2) as store:
        for key, value, keep in script:
            if keep:
                store[key] = model[key] = value
            else:
                assert store.delete(key) == (model.pop(key, None) is not None)
        assert dict(store.items()) == model


def test_bytes_like_objects_are_taken(store: kvcy.Store) -> None:
    store[bytearray(b"key")] = memoryview(b"value")
    assert store[memoryview(b"key")] == b"value"


@pytest.mark.parametrize("wrong", ["text", 1, None, 1.5])
def test_other_types_are_refused_by_name(store: kvcy.Store, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"keys and values are bytes, not {type(wrong).__name__}"):
        store.get(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys and values are bytes"):
        store.set(b"k", wrong)  # type: ignore[arg-type]
    for call in (store.pop, store.incr, store.prefix):
        with pytest.raises(TypeError, match=f"keys and values are bytes, not {type(wrong).__name__}"):
            call(wrong)  # type: ignore[arg-type]
    if wrong is not None:
        with pytest.raises(TypeError, match="keys and values are bytes"):
            store.range(wrong, b"z")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="keys and values are bytes"):
            store.range(b"a", wrong)  # type: ignore[call-overload]


def test_large_values_come_back_whole(store: kvcy.Store) -> None:
    for size in (2_000, 2_049, 65_536, 65_537, 3_000_000):
        value = bytes(range(256)) * (size // 256 + 1)
        store[b"large"] = value
        assert store[b"large"] == value


def test_times_to_live(store: kvcy.Store) -> None:
    store.set(b"k", b"v", ttl=100)
    left_s = store.ttl(b"k")
    assert left_s is not None and 0 < left_s <= 100
    assert store.expire(b"k", None)
    assert store.ttl(b"k") is None
    assert store.expire(b"k", 50.5)
    store[b"k"] = b"w"
    assert store.ttl(b"k") is None
    assert not store.expire(b"missing", 5)
    with pytest.raises(KeyError):
        store.ttl(b"missing")
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0 seconds"):
            store.set(b"k", b"v", ttl=wrong)
    with pytest.raises(ValueError, match="too long"):
        store.set(b"k", b"v", ttl=1e300)
    for other in ("5", b"5", True):
        with pytest.raises(TypeError, match=f"a time to live is a number of seconds, not {type(other).__name__}"):
            store.expire(b"k", other)  # type: ignore[arg-type]


def test_a_part_of_one_cannot_be_added(store: kvcy.Store) -> None:
    with pytest.raises(TypeError):
        store.incr(b"n", 1.5)  # type: ignore[arg-type]
    assert b"n" not in store


def test_an_expired_key_is_gone(store: kvcy.Store) -> None:
    store.set(b"k", b"v", ttl=0.001)
    while b"k" in store:  # ends: the clock moves on
        pass
    assert store.get(b"k") is None
    assert list(store) == []


def test_counting(store: kvcy.Store) -> None:
    assert store.incr(b"n") == 1
    assert store.incr(b"n", 41) == 42
    assert store[b"n"] == b"42"
    store[b"n"] = b"text"
    with pytest.raises(kvcy.ReplyError, match="not an integer"):
        store.incr(b"n")


def test_commands(store: kvcy.Store) -> None:
    assert store.execute("SET", "k", 1, "EX", 100) == b"OK"
    assert store.execute(b"GET", b"k") == b"1"
    assert store[b"k"] == b"1"
    assert store.execute("MGET", "k", "missing") == [b"1", None]
    assert store.execute("SELECT", 1) == b"OK"
    assert store.execute("DBSIZE") == 1  # each call stands by itself
    assert sorted(store.execute("KEYS", "*")) == [b"k"]
    with pytest.raises(kvcy.ReplyError, match="unknown command"):
        store.execute("NONSENSE")
    with pytest.raises(kvcy.ReplyError, match="belongs to a connection"):
        store.execute("MULTI")
    with pytest.raises(kvcy.ReplyError, match="server only"):
        store.execute("INFO")
    assert store.execute("GET", "k") == b"1"
    with pytest.raises(TypeError, match="needs a command"):
        store.execute()


def test_databases_are_apart() -> None:
    with kvcy.open(database=3) as store:
        store[b"k"] = b"v"
        assert store.execute("DBSIZE") == 1
        assert store.execute("SWAPDB", 0, 3) == b"OK"
        assert len(store) == 0


@pytest.mark.parametrize(
    "arguments", [{"shards": 3}, {"shards": 0}, {"shards": 2048}, {"database": 16}, {"database": -1}]
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kvcy.open(**arguments)


def test_a_closed_store_says_so() -> None:
    store = kvcy.open()
    store.close()
    for call in (lambda: store[b"k"], lambda: len(store), lambda: store.execute("GET", "k"), lambda: list(store)):
        with pytest.raises(kvcy.StoreClosedError, match="the store is closed"):
            call()
    assert "closed" in repr(store)


def test_what_goes_while_iterating_is_left_out(store: kvcy.Store) -> None:
    for i in range(2_000):
        store[b"%d" % i] = b"v"
    seen = 0
    for key, _ in store.items():
        seen += 1
        store.delete(b"%d" % (int(key) ^ 1))
    assert 1_000 <= seen <= 2_000
    assert len(store) == 1_000


def test_threads_count_together(store: kvcy.Store) -> None:
    threads, rounds = 8, 2_000
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(rounds):
                store.incr(b"shared")
                key = b"%d:%d" % (number, i % 50)
                store[key] = b"v" * (i % 3000)
                assert len(store[key]) == i % 3000
                if i % 7 == 0:
                    store.delete(key)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert store.incr(b"shared", 0) == threads * rounds


def test_memory_is_reported(store: kvcy.Store) -> None:
    empty = store.memory_bytes()
    store[b"k"] = b"v" * 1_000_000
    assert store.memory_bytes() > empty + 1_000_000
    store.clear()
    assert store.memory_bytes() < empty + 100_000


def test_a_store_and_its_idle_workers_go_without_close() -> None:
    """They hold one another, so the garbage collector takes them, in whatever order it comes to them."""
    gone = []
    for _ in range(100):
        store = kvcy.Store(shards=1)
        store.execute("SET", "k", "v")
        gone.append(weakref.ref(store))
    del store
    gc.collect()
    assert [each() for each in gone] == [None] * 100
