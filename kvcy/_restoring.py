"""Restoring a data directory to a point of its kept history.

    Point.parse(text)           a position of the log, or a time
    restore(path, point, tell)  finds the snapshot and the part of the log that lead there, loads them, and lets the
                                result take the place of what was there (_switching.py)
    Search                      how far the finding is, and its end before its time

The rules are in docs/durability.md, "Kept history" and "Restore to a point". The log is read twice: once to find the
last record that belongs to the result, which says whether the point can be reached, once to apply the records.
Limits: one process; the state must fit into memory, and on the disk beside the old files.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from kvcy._core import Store
from kvcy._facts import NEVER, NOWHERE, Found, LogFacts, SnapshotFacts, utc
from kvcy._inspection import SnapshotReading, read_log
from kvcy._loading import Loader, LoadStopped
from kvcy._switching import settle, switch_to
from kvcy.engine.directory import Directory, Manifest, holds_data, refusing, snapshot_name
from kvcy.errors import DamagedError, DirectoryError

EPOCH = datetime.fromtimestamp(0, timezone.utc)
_SECONDS = re.compile(r"@([0-9]{1,11})(?:\.([0-9]{1,3}))?")


class NotReachable(DirectoryError):
    """The kept history does not reach to the point; the message says how far it does."""


@dataclass(frozen=True)
class Point:
    """Where a history is to end: everything up to a position of the log, or up to a time.

    Attributes:
        text: as it was given.
        position: records that end at or before it belong to the result.
        time_ms: Unix time; records belong to the result up to the first one that is later.
    """

    text: str
    position: int = NOWHERE
    time_ms: int = NEVER

    @property
    def is_time(self) -> bool:
        return self.position == NOWHERE

    @classmethod
    def parse(cls, text: str) -> Point:
        """Digits are a position; `@` and digits are Unix seconds; all else is an ISO 8601 time, local without a zone.

        Raises:
            ValueError: it is none of them.
        """
        if text.isascii() and text.isdigit():
            return cls(text, position=min(int(text), NOWHERE - 1))
        if seconds := _SECONDS.fullmatch(text):
            return cls(text, time_ms=int(seconds[1]) * 1000 + int((seconds[2] or "").ljust(3, "0")))
        try:
            when = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).astimezone()
            return cls(text, time_ms=(when - EPOCH) // timedelta(milliseconds=1))
        except (ValueError, OverflowError):
            raise ValueError(
                f"'{text}' is neither a position of the log (digits), nor a time: 2026-11-22T19:00:00Z, the same with "
                "an offset, without one for local time, or Unix seconds as @1234567890"
            ) from None


class Search:
    """How far the search for the way is: another thread may ask while restore() is at it, and stop it."""

    def __init__(self) -> None:
        self._progress = 0, 0
        self._stopped = False

    def reach(self, done: int, total: int) -> None:
        """Raises LoadStopped when the search was stopped."""
        self._progress = done, total
        if self._stopped:
            raise LoadStopped

    def progress(self) -> tuple[int, int]:
        """Bytes that were looked at, and how many there may be to look at."""
        return self._progress

    def stop(self) -> None:
        """Lets restore() raise LoadStopped soon; nothing has happened then."""
        self._stopped = True


Began = Callable[[Search | Loader, str], None]  # takes what is about to begin, and what it does in a word or some


@dataclass(frozen=True)
class Way:
    """What leads to a point.

    Attributes:
        base: the snapshot to begin with; None: the beginning of the log.
        log: behind it, up to the last record of the result.
    """

    base: SnapshotFacts | None
    log: LogFacts


def restore(path: str, point: Point, tell: Callable[[str], None], began: Began = lambda *_: None) -> None:
    """Restores the directory; what it held stays in it, aside. It can be killed at any moment: either nothing has
    happened, or the next start of a server finishes it.

    Args:
        path: of the directory.
        point: where its history is to end.
        tell: takes a line about what has been done.
        began: is called with what searches, and then with what loads, before it does: they tell how far they are.

    Raises:
        LoadStopped: what `began` was given was told to stop.
        NotReachable: the point does not lie in the kept history.
        DirectoryInUseError, DirectoryError, ManifestError, DamagedError: the directory cannot be used, or not read.
        MemoryError: there is no memory for the result.
    """
    if not holds_data(path):
        raise DirectoryError(f"{path} holds no data that could be restored to {point.text}")
    with Directory(path) as directory, refusing(f"{directory.path} could not be restored to {point.text}"):
        if before := settle(directory):
            tell(f"A restore that was interrupted has been completed; the files from before are in {before}")
        restore_in(directory, point, tell, began)


def restore_in(directory: Directory, point: Point, tell: Callable[[str], None], began: Began) -> None:
    """The same in a directory that is open and settled."""
    manifest = directory.read_manifest()
    assert manifest is not None  # there is data
    way = find_way(directory, manifest, point, began)
    end = way.log.end
    store = Store(shards=manifest.shards, hash_key=manifest.hash_key)
    try:
        loader = Loader(store, directory, manifest)
        began(loader, "Loading")
        loader.load(-1 if way.base is None else way.base.position, end)
        tell(f"Loaded what there was at position {end}; it is written as a snapshot now")
        before = switch_to(directory, store, manifest, end)
    finally:
        store.close()
    begin = "the log's beginning" if way.base is None else way.base.name
    last = f", the last of {utc(way.log.last_ms)}" if way.log.records else ""
    tell(f"Restored to position {end}: {begin} and {way.log.records} records{last}. What was here is in {before}")


# --- what leads to a point

def find_way(directory: Directory, manifest: Manifest, point: Point, began: Began) -> Way:
    """Raises NotReachable, or DamagedError when damage lies in the way."""
    snapshots = look_at_all(directory, manifest, began)
    search = Search()
    began(search, "Looking for the point in the log")
    bases: list[SnapshotFacts | None] = [one for one in snapshots if not one.fault]
    if directory.segments()[:1] == [0] and not any(one.based or one.fault for one in snapshots):
        bases.append(None)
    for base in bases:
        if base is not None and (base.greatest > point.position or base.created_ms > point.time_ms):
            continue
        begin = 0 if base is None else base.position
        log = read_log(directory, manifest, begin, point.position, point.time_ms, search.reach)
        if base is None or log.end >= base.greatest:
            break
    else:
        raise not_reachable(directory, manifest, bases, point, search)
    refuse_gap(directory, snapshots, base, log, point)
    if log.found is Found.DAMAGED and log.end != point.position:
        raise DamagedError(f"the log is damaged before {point.text}: {log.place(directory.path)}")
    if point.is_time:
        outside = point.time_ms > time.time() * 1000 or base is None and log.records == 0
    else:
        outside = not log.beyond and log.end < point.position
    if outside:
        raise not_reachable(directory, manifest, bases, point, search)
    return Way(base, log)


def refuse_gap(
    directory: Directory, snapshots: Sequence[SnapshotFacts], base: SnapshotFacts | None, log: LogFacts, point: Point
) -> None:
    """Raises when a snapshot on the way, which cannot be begun with, may hold what the log does not."""
    for one in snapshots:
        if one.position > log.end or base is not None and one.position <= base.position:
            continue
        if one.fault:
            raise DamagedError(
                f"{directory.path}/{one.name}, offset {one.offset}: {one.fault}. A restore to {point.text} needs it"
            )
        if one.unlogged:
            raise NotReachable(
                f"{directory.path} cannot be restored to {point.text}: it may lie among changes that no log has, but "
                f"only {one.name}, of {utc(one.created_ms)}. A point from then on can be reached, or one before "
                f"position {one.position}"
            )


def not_reachable(
    directory: Directory, manifest: Manifest, bases: Sequence[SnapshotFacts | None], point: Point, search: Search
) -> NotReachable:
    """The exception, with the range that can be reached."""
    fault = f"{directory.path} cannot be restored to {point.text}"
    if not bases:
        return NotReachable(f"{fault}: there is no whole snapshot, nor the log's beginning")
    oldest, newest = bases[-1], bases[0]
    log = read_log(directory, manifest, 0 if newest is None else newest.position, reach=search.reach)
    last_ms = log.last_ms or (newest.created_ms if newest else 0)
    if not last_ms:
        return NotReachable(f"{fault}: nothing has been changed there yet")
    if oldest is None:
        first, first_ms = 0, read_log(directory, manifest, 0, reach=search.reach).first_ms
    else:
        first, first_ms = oldest.greatest, oldest.created_ms
    return NotReachable(
        f"{fault}: the history that is kept reaches from position {first}, {utc(first_ms)}, to position {log.end}, "
        f"last changed {utc(last_ms)}"
    )


def look_at_all(directory: Directory, manifest: Manifest, began: Began) -> list[SnapshotFacts]:
    """What the indexes of the snapshots say, the newest first."""
    positions = directory.snapshots()[::-1]
    sizes = [os.stat(snapshot_name(one), dir_fd=directory.file).st_size for one in positions]
    search = Search()
    began(search, "Looking at the snapshots")
    facts = []
    for number, position in enumerate(positions):
        search.reach(sum(sizes[:number]), sum(sizes))
        facts.append(look_at(directory, manifest, position))
    return facts


def look_at(directory: Directory, manifest: Manifest, position: int) -> SnapshotFacts:
    """What the index of a snapshot says."""
    reading = SnapshotReading(directory, manifest, position)
    try:
        return reading.facts()
    finally:
        reading.close()
