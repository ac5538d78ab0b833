"""What reading a data directory finds: plain facts, with a place for every fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum

from kvcy.engine.directory import segment_name, snapshot_name


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
        return f"{path}/{segment_name(self.segment)}, offset {self.offset}, log position {self.end}: {self.reason}"


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


def utc(time_ms: int) -> str:
    """A Unix time in words, or as the number it is when no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"at {time_ms} ms"
