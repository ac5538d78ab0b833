"""kvcy dump: loads a data directory as a server would, and writes its keys to a file or to standard output.

A file takes its name when it is complete and synced, so a dump that was stopped leaves the one before as it was. What
is no file, as a pipe or /dev/null, is written to directly.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from kvcy._core import Store
from kvcy._loading import Loader, LoadReport
from kvcy.tools.directories import opened
from kvcy.tools.dumping import Dumper
from kvcy.tools.filling import count_keys
from kvcy.tools.progress import bar, load_shown

FORMATS = ("lines", "resp")
PART_SUFFIX = ".part"


def dump(path: str, form: str, output: str | None) -> int:
    """Writes the keys of a data directory; how many there were. Nothing in the directory is changed.

    Args:
        path: of the directory.
        form: one of FORMATS.
        output: the file's name; None: standard output.

    Raises:
        DamagedError: a server would not start with the directory.
        KvcyError, MemoryError: it could not be read or loaded.
        OSError: the file could not be written.
    """
    with opened(path) as (directory, manifest):
        store = Store(shards=manifest.shards, hash_key=manifest.hash_key)
        report = load_shown(partial(load, Loader(store, directory, manifest)))
        if report.torn:
            print(f"kvcy: the log ends in a torn tail, which is not in the dump: {report.torn}", file=sys.stderr)
        with writing(output) as file, bar(count_keys(store), "dump", " keys") as reach:
            return write(store, form, file, reach)


def load(loader: Loader, began: Callable[[Loader], None]) -> LoadReport:
    began(loader)
    return loader.load()


def write(store: Store, form: str, file: BinaryIO, reach: Callable[[int], None]) -> int:
    """Writes all databases of the store, of which nobody else is a user; the number of keys."""
    dumper = Dumper(store, form == "resp")
    while (piece := dumper.next()) is not None:
        file.write(piece)
        reach(dumper.keys)
    return dumper.keys


@contextlib.contextmanager
def writing(output: str | None) -> Iterator[BinaryIO]:
    """What to write to. A file is there under its name when the block has ended without an exception."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.exists(output) and not os.path.isfile(output):
        with open(output, "wb") as file:
            yield file
        return
    output = os.path.realpath(output)  # a link stays one
    part = output + PART_SUFFIX
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, output)
        sync_directory(os.path.dirname(output))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
