"""Data directories for the tests of the tools: made by the store itself, with small segments, then damaged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvcy._core import Store
from kvcy._opening import open_data
from kvcy._persistence import Persistence
from kvcy.cli.tools import main
from kvcy.engine.directory import Directory, Manifest

HEADER = 4096
SEGMENT_BYTES = 8192
SHARDS = 4


@contextmanager
def opened(path: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[tuple[Store, Persistence]]:
    """A store on the directory, made with small segments if it is not there. Every change is durable at once."""
    if not path.exists():
        with Directory(path) as directory:
            directory.write_manifest(Manifest.drawn(SHARDS, segment_bytes))
    store, persistence, _ = open_data(path, shards=SHARDS, policy="always")
    threads = [threading.Thread(target=persistence.flush), threading.Thread(target=persistence.prepare)]
    for thread in threads:
        thread.start()
    try:
        yield store, persistence
    finally:
        store.close()
        persistence.stop()
        for thread in threads:
            thread.join()
        persistence.close()


def fill(path: Path, first: int, last: int, value: bytes = b"v" * 100) -> None:
    """Sets the keys `key:first` to `key:last` less one, a record each."""
    with opened(path) as (store, _):
        for number in range(first, last):
            store[b"key:%d" % number] = value + b"%d" % number


def save(path: Path) -> str:
    """Writes a snapshot; its name."""
    with opened(path) as (_, persistence):
        return persistence.save()


def content(path: Path) -> dict[bytes, bytes]:
    """What a start on the directory finds in database 0."""
    with opened(path) as (store, _):
        return dict(store.items())


def flip(path: Path, offset: int) -> None:
    """Changes one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def take_back_conclusion(path: Path) -> None:
    """Erases the record with which a log is closed in good order, as if the process had been killed before it."""
    conclusion = b"\6\0\0"
    last = max(one for one in path.glob("log-*") if one.read_bytes()[HEADER:].strip(b"\0"))
    data = last.read_bytes()
    end = len(data.rstrip(b"\0")) - 1 + len(conclusion)
    assert data[end - len(conclusion) : end] == conclusion
    place = end - len(conclusion) - 32
    assert place >= HEADER
    last.write_bytes(data[:place] + bytes(len(data) - place))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Runs `kvcy` with these arguments: the exit status, and what was printed."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def files(path: Path) -> dict[str, bytes]:
    """All files below the directory but the lock, with what they hold."""
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in path.rglob("*")
        if one.is_file() and one.name != "kvcy.lock"
    }
