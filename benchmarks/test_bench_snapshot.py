"""Saving and loading a snapshot, in seconds and ns a key: keys of 16 bytes, values of 32, 64 shards.

Run: `python -m pytest --benchmark-enable benchmarks/test_bench_snapshot.py`. 10^6 keys;
`KVCY_BENCH_SNAPSHOT_KEYS=5000000` in the environment makes it 5 * 10^6. The file is in memory, so the disk's share is
left out: the figures say what the processor needs. Loading is timed with one thread and with two.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from probes.durable_probe import Durable, Loaded

KEYS = int(os.environ.get("KVCY_BENCH_SNAPSHOT_KEYS", "1000000"))
SHARDS = 64


@pytest.fixture(scope="module")
def source() -> Durable:
    filled = Durable(SHARDS)
    filled.fill(0, KEYS)
    return filled


@pytest.fixture
def file() -> Iterator[int]:
    made = os.memfd_create("snapshot")
    yield made
    os.close(made)


def report(benchmark: Any) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_key"] = round(benchmark.stats.stats.min * 1e9 / KEYS, 1)


@pytest.mark.parametrize("quiet", [True, False], ids=["quiet", "in process"])
def test_save(benchmark: Any, source: Durable, file: int, quiet: bool) -> None:
    def save() -> None:
        assert source.save(file, quiet) == 0

    benchmark.pedantic(save, setup=source.reset_progress, rounds=5, warmup_rounds=1)
    report(benchmark)


@pytest.mark.parametrize("threads", [1, 2])
def test_load(benchmark: Any, source: Durable, file: int, threads: int) -> None:
    source.reset_progress()
    assert source.save(file) == 0

    def load(snapshot: Loaded, target: Durable) -> None:
        others = [threading.Thread(target=snapshot.load, args=(target,)) for _ in range(threads - 1)]
        for other in others:
            other.start()
        assert snapshot.load(target)
        for other in others:
            other.join()
        assert target.count() == KEYS

    benchmark.pedantic(load, setup=lambda: ((Loaded(file), Durable(SHARDS)), {}), rounds=5, warmup_rounds=1)
    report(benchmark)
