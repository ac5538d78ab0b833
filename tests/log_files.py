"""What the tests of the log share: a directory, full records, and a flusher in a thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.log_probe import Writer

HEADER = 4096


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def flushing(writer: Writer, prepare: bool = True) -> Iterator[None]:
    """The log's two threads."""
    threads = [threading.Thread(target=writer.run)]
    if prepare:
        threads.append(threading.Thread(target=writer.run_prepare))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        writer.stop()
        for thread in threads:
            thread.join()


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("log-*"))


def filling(size: int, seed: int = 0) -> bytes:
    """Bytes that are not zero and do not repeat soon."""
    return bytes(1 + (i * 7 + i // 250 + seed * 31) % 255 for i in range(size))


def fill(directory: int, sizes: list[int], segment_bytes: int = 4096, ring_bytes: int = 1 << 16) -> list[bytes]:
    """Makes a log with records of these sizes, each durable before the next; what they hold."""
    records = [filling(size, number) for number, size in enumerate(sizes)]
    writer = Writer(directory, segment_bytes, ring_bytes)
    for record in records:
        writer.append(record)
        writer.step()
        assert writer.durable == writer.appended
    assert writer.close() == 0
    return records
