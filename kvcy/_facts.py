"""What reading a data directory finds: plain facts, with a place for every fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum

from kvcy.engine.directory import Manifest, segment_name, snapshot_name

NOWHERE = 2**64 - 1            # a position that no log reaches
NEVER = 2**63 - 1              # a time in ms that does not come


class Found(Enum):
    """How the log ends."""

    CLEAN = "clean"
    TORN = "torn tail"
    DAMAGED = "damaged"


@dataclass
class SnapshotFacts:
    """A snapshot, read to its end or to the first fault.

    Attributes:
        position: of its name, and where the log continues it.
        greatest: the log is needed up to here for it to be of use.
        fault: what is wrong with it, "" when nothing is; at `offset` in the file.
        unknown: the fault is a format of another version, and no damage.
        unlogged: it holds changes that are in no log.
        based: the log alone, from position 0, does not lead to it.
    """

    position: int
    greatest: int = 0
    created_ms: int = 0
    keys: int = 0
    blocks: int = 0
    bytes: int = 0
    fault: str = ""
    offset: int = 0
    unknown: bool = False
    unlogged: bool = False
    based: bool = False

    @property
    def name(self) -> str:
        return snapshot_name(self.position)


@dataclass
class LogFacts:
    """The log from the position `start` to the place where its records end.

    Attributes:
        durable: up to which the records vouch for having been on disk.
        first_ms, last_ms: Unix times of the first and the last record; 0 when there is none.
        segment, offset: where the end lies.
        header: it ends there because the segment's header is wrong, whatever the segment holds.
        unknown: it ends there because of something of another version's format, and no damage.
        beyond: it goes on, but only so far was to be read.
    """

    start: int
    end: int
    durable: int
    records: int = 0
    first_ms: int = 0
    last_ms: int = 0
    found: Found = Found.CLEAN
    segment: int = 0
    offset: int = 0
    reason: str = ""
    header: bool = False
    unknown: bool = False
    beyond: bool = False

    def place(self, path: str) -> str:
        """Where it ends, and why, for a message."""
        return place(path, self.segment, self.offset, self.end, self.reason)


@dataclass
class Examination:
    """Everything that a directory's files say.

    Attributes:
        snapshots: the newest first.
        log: from the newest whole snapshot, or from 0, or from before if the log is sound from there on.
        earlier: the log from the oldest place that is kept, when that reading ended before `log` begins.
        segments: their numbers, rising.
        faults: a line each, with file and place.
        startable: whether a server would start.
    """

    snapshots: list[SnapshotFacts]
    log: LogFacts
    earlier: LogFacts | None
    segments: list[int]
    faults: list[str] = field(default_factory=list)
    startable: bool = True

    @property
    def found(self) -> Found:
        """Damaged, if anything is; else how the log ends."""
        return Found.DAMAGED if self.faults else self.log.found


def place(path: str, segment: int, offset: int, position: int, reason: str) -> str:
    """A place in the log and what is there, for a message. The offset is that in the segment's file."""
    return f"{path}/{segment_name(segment)}, offset {offset}, log position {position}: {reason}"


def misfit(history: bytes, shards: int, begin_position: int, manifest: Manifest, position: int) -> tuple[str, int]:
    """Why a sound snapshot is not the one at `position` of the manifest's directory, and the offset in its file where
    it says so; "" and 0 when it is."""
    if history != manifest.history:
        return "it is of another directory: its history is not the manifest's", 32
    if shards != manifest.shards:
        return "it has another number of shards than the manifest says", 48
    if begin_position != position:
        return "its name is not that of the position in it", 16
    return "", 0


def utc(time_ms: int) -> str:
    """A Unix time in words, or as the number it is when no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"at {time_ms} ms"
