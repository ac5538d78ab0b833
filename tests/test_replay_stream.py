"""The order of reader and workers at the end of a replay, forced where chance would seldom bring it about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kvcy
from kvcy._core import Store
from kvcy.engine.directory import Directory
from probes.stream_probe import Stream

TIMEOUT_S = 60
SHARDS = 8
WORKERS = 2


@contextmanager
def stream_of(path: Path, keys: int) -> Iterator[tuple[Stream, Store]]:
    with kvcy.open(path, shards=SHARDS) as store:
        for number in range(keys):
            store[b"%d" % number] = b"%0200d" % number
    with Directory(path) as directory:
        manifest = directory.read_manifest()
        assert manifest is not None
        store = Store(shards=SHARDS, hash_key=manifest.hash_key)
        yield Stream(store, directory.file, manifest.history, manifest.segment_bytes, WORKERS), store


def workers_of(stream: Stream) -> list[threading.Thread]:
    threads = [threading.Thread(target=stream.work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("keys", [0, 1, 2000])
def test_workers_that_come_when_all_has_been_read(tmp_path: Path, keys: int) -> None:
    with stream_of(tmp_path, keys) as (stream, store):
        stream.read()
        for thread in workers_of(stream):
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
        assert not stream.failed
        assert len(store) == keys


@pytest.mark.parametrize("keys", [0, 1, 2000])
def test_workers_that_see_the_end_before_it_is_counted(tmp_path: Path, keys: int) -> None:
    """`ended` is set while the count still stands at the last chunk: it is not the end that was counted there."""
    with stream_of(tmp_path, keys) as (stream, store):
        stream.read()
        stream.take_back_the_end()
        threads = workers_of(stream)
        waiting = threading.Event()
        for number, thread in enumerate(threads):
            while thread.is_alive() and stream.consumed(number) < stream.total:
                waiting.wait(0.001)
        consumed = [stream.consumed(number) for number in range(WORKERS)]
        stream.give_the_end()
        for thread in threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
        assert consumed == [stream.total] * WORKERS
        assert len(store) == keys
