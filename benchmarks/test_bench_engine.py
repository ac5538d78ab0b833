"""The engine by number of keys, in ns an operation, and the embedded Store beside a dict.

Run: `python -m pytest --benchmark-enable benchmarks/test_bench_engine.py`. Sizes are 10^3 to 10^5 keys;
`KVCY_BENCH_KEYS_MAX=10000000` in the environment goes on to 10^7, which takes a minute and 1 GB.

The engine's loops are C (tests/probes/engine_load_probe.pyx); one thread, keys of 16 bytes, values of 32, in an order
that makes neighbours in time no neighbours in memory. Figures in a benchmark's extra info are CPU time, so that other
work on the machine counts less: `ns_per_operation` is the fastest round's, with the naming of the keys in it, whose
share `test_name` tells; `ratio_to_dict` is the median of rounds that time a dict and a Store one after the other. The
aims are at most 4 for get and 6 for set.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Iterator, MutableMapping
from time import thread_time_ns
from typing import Any

import pytest

import kvcy
from probes.engine_load_probe import Load

KEYS_MAX = int(os.environ.get("KVCY_BENCH_KEYS_MAX", "100000"))
SIZES = [size for size in (10**3, 10**4, 10**5, 10**6, 10**7) if size <= KEYS_MAX]
OPERATIONS = 100_000
VALUE = b"v" * 32


def run(benchmark: Any, operation: Callable[[], object], count: int, setup: Callable[[], object] | None = None) -> None:
    """Times rounds of `count` operations each, `setup` before each and outside of its time."""
    times = []

    def once() -> None:
        start = thread_time_ns()
        operation()
        times.append(thread_time_ns() - start)

    def prepare() -> None:
        if setup is not None:
            setup()

    benchmark.pedantic(once, setup=prepare, rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_per_operation"] = round(min(times) / count, 1)


@pytest.fixture(scope="module", params=SIZES)
def keys(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.fixture(scope="module")
def load(keys: int) -> Iterator[Load]:
    """A keyspace of `keys` keys."""
    filled = Load()
    assert filled.fill(0, keys) == keys
    yield filled
    assert filled.scan(256) == keys


def test_name(benchmark: Any, load: Load, keys: int) -> None:
    """The names alone."""
    run(benchmark, lambda: load.name(keys, OPERATIONS), OPERATIONS)


def test_get(benchmark: Any, load: Load, keys: int) -> None:
    assert load.get(keys, OPERATIONS) == OPERATIONS
    run(benchmark, lambda: load.get(keys, OPERATIONS), OPERATIONS)
    benchmark.extra_info["memory_bytes_per_key"] = round(load.memory_bytes() / keys, 1)


def test_set(benchmark: Any, load: Load, keys: int) -> None:
    """Overwrites by values of the same size."""
    run(benchmark, lambda: load.set(keys, OPERATIONS), OPERATIONS)


def test_delete(benchmark: Any, load: Load, keys: int) -> None:
    """The keys set last, which then come back."""
    count = min(keys, OPERATIONS)
    run(benchmark, lambda: load.delete(keys - count, keys), count, lambda: load.fill(keys - count, keys))
    load.fill(keys - count, keys)


def test_scan(benchmark: Any, load: Load, keys: int) -> None:
    """The whole keyspace, 256 slots under one lock."""
    run(benchmark, lambda: load.scan(256), keys)


def test_growth(benchmark: Any, keys: int) -> None:
    """From empty to `keys` keys: every enlargement of the tables is in it."""
    loads: list[Load] = []
    run(benchmark, lambda: loads[0].fill(0, keys), keys, lambda: loads.__setitem__(slice(None), [Load()]))


Loop = Callable[[MutableMapping[bytes, bytes], list[bytes]], None]


def get_all(mapping: MutableMapping[bytes, bytes], names: list[bytes]) -> None:
    get = mapping.get
    for name in names:
        get(name)


def set_all(mapping: MutableMapping[bytes, bytes], names: list[bytes]) -> None:
    for name in names:
        mapping[name] = VALUE


@pytest.mark.parametrize("loop", [get_all, set_all])
def test_store_beside_dict(benchmark: Any, keys: int, loop: Loop) -> None:
    """The same Python loop over both; the benchmark's own time is the Store's."""
    names = [b"key:%012d" % n for n in range(keys)]
    random.Random(1).shuffle(names)
    plain: dict[bytes, bytes] = {}
    with kvcy.open() as store:
        for mapping in (plain, store):
            set_all(mapping, names)
        dict_times: list[int] = []
        times: list[int] = []

        def time_dict() -> None:
            start = thread_time_ns()
            loop(plain, names)
            dict_times.append(thread_time_ns() - start)

        def time_store() -> None:
            start = thread_time_ns()
            loop(store, names)
            times.append(thread_time_ns() - start)

        benchmark.pedantic(time_store, setup=time_dict, rounds=5, warmup_rounds=1)
    ratios = [time / other for time, other in zip(times, dict_times, strict=True)]
    benchmark.extra_info["ns_per_operation"] = round(min(times) / keys, 1)
    benchmark.extra_info["dict_ns_per_operation"] = round(min(dict_times) / keys, 1)
    benchmark.extra_info["ratio_to_dict"] = round(statistics.median(ratios), 2)
