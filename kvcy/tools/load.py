"""kvcy load: imports a dump into a data directory, all of it at once or nothing.

The file is read into a store in memory, on top of what the directory holds; then that store is written as one snapshot,
and the moment at which the snapshot takes its name is the import. The log goes on in a segment of its own behind it;
those before go: nothing could rebuild from them what was imported.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from kvcy._core import Store
from kvcy._inspection import make_segment
from kvcy._loading import LoadReport
from kvcy._persistence import Persistence
from kvcy.engine.directory import (
    LOCK_NAME,
    MANIFEST_NAME,
    NEW_SUFFIX,
    Directory,
    Manifest,
    holds_data,
    segment_name,
    snapshot_name,
)
from kvcy.errors import DirectoryError, DumpError
from kvcy.tools.directories import open_directory
from kvcy.tools.filling import Filler, count_keys
from kvcy.tools.progress import bar, load_shown
from kvcy.tools.rdb import read_rdb
from kvcy.tools.source import Source
from kvcy.tools.texts import LINES_BEGIN, read_commands, read_lines

SHARDS = 64  # as a server makes them
NAMED_MAX = 10


@dataclass
class Import:
    """What an import does, and what came of it.

    Attributes:
        merge: add to what the directory holds, replacing keys that the file has too.
        skip_others: pass over values that are no strings.
        others: how many there were, by database and type.
        named: some of them.
    """

    merge: bool = False
    skip_others: bool = False
    others: dict[str, int] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)

    def take_other(self, path: str, kind: str, key: bytes, database: int) -> None:
        """Notes a value that is no string, or raises DumpError."""
        name = f"{kind} {key!r} in database {database}"
        if not self.skip_others:
            raise DumpError(
                f"{path}: there is a {name}: kvcy has only strings. To import the strings alone: --skip-other-types"
            )
        self.others[kind] = self.others.get(kind, 0) + 1
        if len(self.named) < NAMED_MAX:
            self.named.append(name)


def load(path: str, file: str, options: Import, out: TextIO) -> None:
    """Imports the file into the data directory, which is made if it is not there.

    Raises:
        DumpError: the file is damaged or has what kvcy cannot take; nothing was changed.
        KvcyError, MemoryError: the directory could not be read or written.
        OSError: the file could not be read.
    """
    with Source(file) as source:
        reader = find_reader(source, options)
        made = not os.path.isdir(path)
        if not made and not options.merge:
            refuse_data(path)
        directory = open_directory(path, make=True)
        try:
            import_into(directory, source, reader, options, out)
        finally:
            directory.close()
            if made:
                remove_if_unused(directory.path)


def refuse_data(path: str) -> None:
    """Raises DirectoryError when the directory holds a snapshot: then it need not be loaded to be refused."""
    if holds_data(path) and any(name.startswith(snapshot_name(0)[:9]) for name in os.listdir(path) if "." not in name):
        raise DirectoryError(f"{path} holds data already: {ADVICE}")


ADVICE = "give another directory, or --merge to add the file's keys to it (of those that both have, the file's stay)"

Reader = Callable[[Filler, Callable[[int], None]], None]


def find_reader(source: Source, options: Import) -> Reader:
    """What reads this kind of file; its beginning tells.

    Raises:
        DumpError: it is of no kind that is known.
    """
    if source.begins_with(b"REDIS"):
        return lambda filler, reach: read_rdb(
            source, filler, reach, lambda kind, key, database: options.take_other(source.path, kind, key, database)
        )
    if source.begins_with(LINES_BEGIN):
        return lambda filler, reach: read_lines(source, filler, reach)
    if source.begins_with(b"*"):
        return lambda filler, reach: read_commands(source, filler, reach)
    raise DumpError(
        f"{source.path} is no dump: it begins neither as Redis's dump.rdb (REDIS) nor as what kvcy dump writes "
        f"({LINES_BEGIN.decode()}, or a command)"
    )


def import_into(directory: Directory, source: Source, reader: Reader, options: Import, out: TextIO) -> None:
    """REQUIRES: the directory is locked, for changing."""
    found = directory.read_manifest()
    manifest = found or Manifest.drawn(SHARDS)
    store = Store(shards=manifest.shards, hash_key=manifest.hash_key)
    persistence = Persistence(store, directory, manifest)
    report = load_shown(persistence.load) if found else LoadReport()
    if (report.records or report.snapshot) and not options.merge:
        raise DirectoryError(f"{directory.path} holds data already: {ADVICE}")
    before = count_keys(store)
    filler = Filler(store)
    with bar(source.size or None, "import") as reach:
        reader(filler, reach)
    try:
        if found is None:
            directory.write_manifest(manifest)
        write_snapshot(directory, persistence, report, manifest)
    except BaseException:
        persistence.close()
        if found is None:
            remove_data(directory.path)
        raise
    tell(source, directory.path, filler, before, count_keys(store), options, out)


def write_snapshot(directory: Directory, persistence: Persistence, report: LoadReport, manifest: Manifest) -> None:
    """Makes what the store holds the directory's content, and gives the directory up."""
    number = report.position // manifest.segment_bytes
    if number not in directory.segments():
        make_segment(directory, manifest, number)  # until the snapshot is there, no segment may be missing
    report.position = report.durable = (number + 1) * manifest.segment_bytes
    persistence.open_log(report, "always")
    persistence.save()
    persistence.stop()
    persistence.close()


def remove_data(path: str) -> None:
    """Removes what this import made in a directory that had no manifest: the manifest last."""
    names = os.listdir(path)
    ours = [name for name in names if name.endswith(NEW_SUFFIX)]
    ours += [name for name in names if name.startswith((segment_name(0)[:4], snapshot_name(0)[:9]))]
    for name in [*ours, MANIFEST_NAME]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))


def remove_if_unused(path: str) -> None:
    """Removes a directory that was made for an import which then failed."""
    with contextlib.suppress(OSError):
        if os.listdir(path) == [LOCK_NAME]:
            os.unlink(os.path.join(path, LOCK_NAME))
            os.rmdir(path)


def tell(source: Source, path: str, filler: Filler, before: int, after: int, options: Import, out: TextIO) -> None:
    """Prints what was imported."""
    print(f"imported {filler.keys:,} keys from {source.path} into {path}", file=out)
    if before:
        print(f"  it held {before:,} keys, and now holds {after:,}", file=out)
    if filler.expired:
        print(f"  left out: {filler.expired:,} keys whose time had come", file=out)
    for kind, count in sorted(options.others.items()):
        print(f"  left out: {count:,} of the type {kind}", file=out)
    for name in options.named:
        print(f"    {name}", file=out)
    if sum(options.others.values()) > len(options.named):
        print("    ...", file=out)
    print(f"to serve it: kvcy-server --dir {path}", file=out)
