"""What the admin commands read from a real store and its service."""

import pytest

from kvcy._core import Store
from kvcy.errors import ReplyError
from kvcy.server.native import Native


def test_counters_follow_the_store() -> None:
    with Store() as store:
        native = Native(store)
        before = native.totals()
        for number in range(100):
            store.set(b"k%d" % number, b"v", ttl=100 if number < 3 else None)
        assert store.execute("get", "k1") == b"v"
        assert store.execute("get", "nokey") is None
        after = native.totals()
        assert after["changes"] - before["changes"] == 100
        assert (after["hits"], after["misses"]) == (1, 1)
        assert after["memory_bytes"] > before["memory_bytes"]
        assert native.databases()[:2] == [(100, 3), (0, 0)]
        native.reset_statistics()
        assert (native.totals()["hits"], native.totals()["misses"]) == (0, 0)


def test_uses_count_commands() -> None:
    with Store() as store:
        native = Native(store)
        store.execute("set", "a", "1")
        store.execute("get", "a")
        store.execute("get", "a")
        used = {use.name: use.calls for use in native.uses()}
        assert (used["set"], used["get"]) == (1, 2)


def test_histograms_hold_what_was_timed() -> None:
    with Store() as store:
        native = Native(store)
        assert native.histograms() == {}
        for _ in range(33):
            store.execute("get", "a")                     # one in 16 is timed
        store.execute("mget", "a", "b")
        found = native.histograms()
        assert {name: sum(count for _, count in buckets) for name, buckets in found.items()} == {"get": 3, "mget": 1}
        for buckets in found.values():
            times = [time_ns for time_ns, _ in buckets]
            assert times == sorted(set(times)) and times[0] > 0 and times[-1] < 1 << 30
        native.reset_statistics()
        assert native.histograms() == {}
        for _ in range(10):
            store.execute("mget", "a")
        native.service.latency_tracking = False
        store.execute("mget", "a")
        assert sum(count for _, count in native.histograms()["mget"]) == 10


def test_errors_are_counted_by_code() -> None:
    with Store() as store:
        native = Native(store)
        assert native.errors() == {}
        for words in (["nosuch"], ["get"], ["incrby", "a", "x"]):
            with pytest.raises(ReplyError):
                store.execute(*words)
        native.set_memory_max(1)
        with pytest.raises(ReplyError):
            store.execute("set", "a", "1")
        native.set_memory_max(0)
        assert native.errors() == {"ERR": 3, "OOM": 1}
        assert native.totals()["errors"] == 4
        native.reset_statistics()
        assert native.errors() == {} and native.totals()["errors"] == 0
        with pytest.raises(ReplyError):
            store.execute("get")
        assert native.errors() == {"ERR": 1}


def test_entry_text() -> None:
    with Store() as store:
        native = Native(store)
        store.set(b"a", b"12")
        assert native.entry_text(0, b"nokey") is None
        assert native.entry_text(1, b"a") is None
        text = native.entry_text(0, b"a")
        assert text is not None and " encoding:int serializedlength:2 " in text


def test_memory_limit() -> None:
    with Store() as store:
        native = Native(store)
        native.set_memory_max(1)
        with pytest.raises(ReplyError, match="OOM"):
            store.execute("set", "a", "1")
        native.set_memory_max(0)
        store.execute("set", "a", "1")


def test_slow_log_and_latency_start_empty() -> None:
    with Store() as store:
        native = Native(store)
        assert native.slow_commands(-1) == [] and native.slow_count() == 0
        assert native.latencies() == [] and native.latency_reset([]) == 0
        native.service.slow_us = 0
        native.service.slow_capacity = 8
        store.execute("set", "a", "1")
        assert native.slow_count() == 1
        (entry,) = native.slow_commands(-1)
        assert list(entry.arguments) == [b"set", b"a", b"1"]
        native.slow_reset()
        assert native.slow_count() == 0


def test_while_the_data_are_loaded_nothing_is_read_that_a_lock_protects() -> None:
    """Who loads takes no locks, and frees what it replaces at once. (ThreadSanitizer sees what is read: tests/tsan.)"""
    store = Store()
    native = Native(store)
    store[b"key"] = b"value"
    assert list(store.range()) == [b"key"]
    native.service.loading = True
    totals = native.totals()
    assert totals["taken_bytes"] == totals["memory_bytes"]
    assert native.ordered_indexes() == {}
    native.service.loading = False
    assert native.totals()["taken_bytes"] > totals["memory_bytes"]
    assert native.ordered_indexes()[0][0] == 1
