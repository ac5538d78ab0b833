"""The log: the cost of appending a record, of the checksum, and of reading.

Run: `python -m pytest --benchmark-enable benchmarks/test_bench_log.py`. Appending is measured without a flusher: a ring
is filled, and emptied outside of the time. `ns_per_record` is CPU time, the fastest round's; the aim for 64 bytes is at
most 60.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import thread_time_ns
from typing import Any

import pytest

from probes import files_probe, log_probe
from probes.log_probe import Writer

RING_BYTES = 1 << 20
SEGMENT_BYTES = 1 << 26
LOG_BYTES = 1 << 25


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("size", [16, 64, 256, 4096])
def test_append(benchmark: Any, directory: int, size: int) -> None:
    """Appends to a ring with room, one thread."""
    writer = Writer(directory, SEGMENT_BYTES, RING_BYTES, policy=log_probe.NO)
    count = RING_BYTES // 2 // (32 + size)
    times = []

    def once() -> None:
        start = thread_time_ns()
        writer.append_same(b"x" * size, count)
        times.append(thread_time_ns() - start)

    def empty() -> None:
        writer.step()

    benchmark.pedantic(once, setup=empty, rounds=20, warmup_rounds=3)
    benchmark.extra_info["ns_per_record"] = round(min(times) / count, 1)
    assert writer.close() == 0


@pytest.mark.parametrize("size", [64, 4096])
def test_read(benchmark: Any, directory: int, size: int) -> None:
    """Reads a log of 32 MiB that is in the system's memory."""
    writer = Writer(directory, SEGMENT_BYTES, RING_BYTES, policy=log_probe.NO)
    while writer.appended < LOG_BYTES:
        writer.append_same(b"x" * size, RING_BYTES // 2 // (32 + size))
        writer.step()
    records, size_all = writer.statistics["records"], writer.appended
    assert writer.close() == 0
    times = []

    def once() -> None:
        start = thread_time_ns()
        assert log_probe.read_only(directory, SEGMENT_BYTES) == records
        times.append(thread_time_ns() - start)

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    benchmark.extra_info["bytes_per_ns"] = round(size_all / min(times), 2)
    benchmark.extra_info["ns_per_record"] = round(min(times) / records, 1)


@pytest.mark.parametrize("hardware", [True, False], ids=["instruction", "tables"])
def test_checksum(benchmark: Any, hardware: bool) -> None:
    """64 KiB at a time."""
    files_probe.use_hardware(hardware)
    times = []

    def once() -> None:
        start = thread_time_ns()
        files_probe.checksum_many(b"x" * 65536, 100)
        times.append(thread_time_ns() - start)

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    files_probe.use_hardware(True)
    benchmark.extra_info["bytes_per_ns"] = round(6553600 / min(times), 2)
