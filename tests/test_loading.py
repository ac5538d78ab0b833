"""Loading with several threads: what they replay is what one replays, whatever the commands were."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kvcy
from kvcy._core import Store
from kvcy._loading import Loader, LoadReport, LoadStopped
from kvcy.engine.directory import Directory
from kvcy.errors import DamagedError

DATABASES = 3
some = settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.integers(0, 30).map(lambda number: b"k%d" % number)
values = st.one_of(st.binary(max_size=20), st.binary(min_size=1, max_size=1).map(lambda one: one * 3000))
database = st.integers(0, DATABASES - 1)
commands = st.one_of(
    st.tuples(st.just("SET"), names, values),
    st.tuples(st.just("APPEND"), names, values),
    st.tuples(st.just("SETRANGE"), names, st.integers(0, 5000), values),
    st.tuples(st.just("PEXPIREAT"), names, st.just(4_000_000_000_000)),
    st.tuples(st.just("DEL"), names, names),
    st.tuples(st.just("MSET"), names, values, names, values, names, values),
    st.tuples(st.just("RENAME"), names, names),
    st.tuples(st.just("COPY"), names, names, st.just("DB"), database, st.just("REPLACE")),
    st.tuples(st.just("MOVE"), names, database),
    st.tuples(st.just("SWAPDB"), database, database),
    st.tuples(st.just("FLUSHDB")),
    st.tuples(st.just("FLUSHALL")),
)


def write(path: Path, batch: list[tuple[Any, ...]], times: int) -> None:
    with kvcy.open(path, shards=8) as store:
        for _ in range(times):
            for command in batch:
                with contextlib.suppress(kvcy.ReplyError):  # no such key, the same database: it changed nothing
                    store.execute(*command)


def loaded(path: Path, threads: int) -> tuple[LoadReport, Store, Loader]:
    with Directory(path) as directory:
        manifest = directory.read_manifest()
        assert manifest is not None
        store = Store(shards=manifest.shards, hash_key=manifest.hash_key)
        loader = Loader(store, directory, manifest, threads)
        return loader.load(), store, loader


def contents(store: Store) -> list[dict[bytes, tuple[bytes, int]]]:
    """Keys, values and expiries of the databases; database 0 is swapped out and in again to see the others."""
    found = []
    for number in range(DATABASES):
        store.execute("SWAPDB", 0, number)
        found.append({key: (store[key], store.execute("PEXPIRETIME", key)) for key in store})
        store.execute("SWAPDB", 0, number)
    return found


@given(batch=st.lists(commands, min_size=1, max_size=60), times=st.sampled_from([1, 3, 40]))
@some
def test_threads_replay_what_one_replays(
    tmp_path_factory: pytest.TempPathFactory, batch: list[tuple[Any, ...]], times: int
) -> None:
    path = tmp_path_factory.mktemp("data")
    write(path, batch, times)
    report, store, _ = loaded(path, 1)
    expected = contents(store)
    for threads in (2, 5):
        other, store, loader = loaded(path, threads)
        assert other == report
        assert contents(store) == expected
        assert loader.progress() == (report.position, report.position)


@pytest.mark.parametrize("threads", [1, 3])
def test_more_than_the_chunks_hold(tmp_path: Path, threads: int) -> None:
    """Several rounds of the ring of chunks, and a record larger than all of them."""
    large = b"x" * 9_000_000
    with kvcy.open(tmp_path, shards=8) as store:
        for number in range(20_000):
            store[b"%d" % number] = b"%0200d" % number
        store[b"large"] = large
        store[b"0"] = b"after"
    report, store, _ = loaded(tmp_path, threads)
    assert report.records == 20_002 + 1  # and the conclusion
    assert len(store) == 20_001
    assert store[b"0"] == b"after" and store[b"large"] == large
    assert all(store[b"%d" % number] == b"%0200d" % number for number in range(1, 20_000))


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_is_found(tmp_path: Path, threads: int) -> None:
    for _ in range(2):  # what the second one writes calls the first one's durable
        with kvcy.open(tmp_path, shards=8) as store:
            for number in range(10_000):
                store[b"%d" % number] = b"%0200d" % number
    with (tmp_path / "log-0000000000000000").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DamagedError, match="calls this place durable"):
        loaded(tmp_path, threads)


@pytest.mark.parametrize("threads", [1, 3])
def test_loading_that_is_stopped(tmp_path: Path, threads: int) -> None:
    with kvcy.open(tmp_path, shards=8) as store:
        store[b"k"] = b"v"
    with Directory(tmp_path) as directory:
        manifest = directory.read_manifest()
        assert manifest is not None
        loader = Loader(Store(shards=8, hash_key=manifest.hash_key), directory, manifest, threads)
        loader.stop()
        with pytest.raises(LoadStopped):
            loader.load()
