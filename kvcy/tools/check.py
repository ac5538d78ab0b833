"""kvcy check: reads everything a data directory holds, and says whether a server would start with it.

examine() is what repair uses too. The log is read once, from the oldest place from which that can be done; only if that
reading ends before the newest whole snapshot continues is it read a second time, from there, as a server would.
"""

from __future__ import annotations

from typing import TextIO

from kvcy._facts import Examination, Found, LogFacts, SnapshotFacts, utc
from kvcy._inspection import SnapshotReading, read_log
from kvcy.engine.directory import Directory, Manifest, segment_name
from kvcy.tools.directories import opened
from kvcy.tools.progress import bar, run_aside


def examine(directory: Directory, manifest: Manifest) -> Examination:
    """Reads all snapshots and the whole log.

    Raises:
        DirectoryError: a file could not be read.
        MemoryError: there was no memory for a block or a record.
    """
    snapshots = [read_snapshot(directory, manifest, position) for position in reversed(directory.snapshots())]
    segments = directory.segments()
    whole = [one for one in snapshots if not one.fault]
    needed = whole[0].position if whole else 0
    oldest = 0 if segments and segments[0] == 0 else min((one.position for one in whole), default=0)
    log = read_whole_log(directory, manifest, oldest)
    earlier = None
    if log.end < needed:
        log, earlier = read_whole_log(directory, manifest, needed), log
    found = Examination(snapshots, log, earlier, segments)
    judge(directory.path, found)
    return found


def judge(path: str, found: Examination) -> None:
    """Notes every fault, and whether a server would start."""
    log = found.log
    for number, one in enumerate(found.snapshots):
        if one.fault:
            found.faults.append(f"{path}/{one.name}, offset {one.offset}: {one.fault}")
            found.startable &= number > 0
        elif number == 0 and log.end < one.greatest:
            found.faults.append(
                f"{path}/{one.name} was made when the log reached position {one.greatest}, but the log ends at "
                f"{log.end}: segments are missing or were cut"
            )
            found.startable = False
    if log.found is Found.DAMAGED:
        found.faults.append(log.place(path))
        found.startable = False
    if found.earlier is not None and found.earlier.found is Found.DAMAGED:
        found.faults.append(f"{found.earlier.place(path)} (no server needs this: {found.snapshots[0].name} follows)")


def read_snapshot(directory: Directory, manifest: Manifest, position: int) -> SnapshotFacts:
    """Reads one snapshot to its end."""
    reading = SnapshotReading(directory, manifest, position)
    try:
        with bar(reading.bytes, "snapshot") as reach:
            run_aside(reading.run, lambda: reading.done, reading.stop, reach)
        return reading.facts()
    finally:
        reading.close()


def read_whole_log(directory: Directory, manifest: Manifest, position: int) -> LogFacts:
    """Reads the log from a position to where it ends."""
    with bar(None, "log") as reach:
        return read_log(directory, manifest, position, reach=reach)


# --- the report

def check(path: str, out: TextIO) -> Found:
    """Reads the data directory and prints what it holds; nothing in it is changed.

    Raises:
        KvcyError, MemoryError: it could not be read.
    """
    with opened(path) as (directory, manifest):
        found = examine(directory, manifest)
        for line in report(directory.path, manifest, found):
            print(line, file=out)
    return found.found


def report(path: str, manifest: Manifest, found: Examination) -> list[str]:
    """The lines of the report."""
    lines = [path, f"  history    {manifest.history.hex()}, {manifest.shards} shards"]
    lines += [f"  snapshot   {describe_snapshot(one)}" for one in found.snapshots] or ["  snapshot   none"]
    lines.append(f"  log        {describe_segments(manifest, found)}")
    if found.earlier is not None:
        lines.append(f"  records    {describe_records(found.earlier)}")
    lines.append(f"  records    {describe_records(found.log)}")
    lines.append(f"  durable    up to position {found.log.durable} at least, by what the records say")
    lines += [f"  DAMAGED    {fault}" for fault in found.faults]
    return [*lines, conclusion(path, found)]


def conclusion(path: str, found: Examination) -> str:
    if found.found is Found.CLEAN:
        return "clean: a server starts with all of it"
    if found.found is Found.TORN:
        return (
            f"torn tail: {found.log.place(path)}. What lies behind was being written when the process or the power "
            "failed; the next start cuts it off"
        )
    if found.startable:
        return "damaged, but a server starts: it does not need the damaged part. Save (redis-cli bgsave) and back up"
    return f"damaged: a server does not start. Restore from a copy, or see what can be saved: kvcy repair {path}"


def describe_snapshot(one: SnapshotFacts) -> str:
    if one.fault:
        return f"{one.name}: {'unknown' if one.unknown else 'damaged'}, {one.bytes:,} bytes"
    return f"{one.name}: {one.keys:,} keys, {one.bytes:,} bytes, made {utc(one.created_ms)}, whole"


def describe_segments(manifest: Manifest, found: Examination) -> str:
    if not found.segments:
        return "no segments"
    first, last = found.segments[0], found.segments[-1]
    names = segment_name(first) if first == last else f"{segment_name(first)} to {segment_name(last)}"
    return f"{len(found.segments)} of {manifest.segment_bytes:,} bytes: {names}"


def describe_records(log: LogFacts) -> str:
    if not log.records:
        return f"none from position {log.start} on"
    times = f"written {utc(log.first_ms)} to {utc(log.last_ms)}"
    return f"{log.records:,} from position {log.start} to {log.end}, {times}"
