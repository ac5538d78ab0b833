"""kvcy repair: makes a damaged data directory one that a server starts with, and throws nothing away.

What is taken out of use goes to a new directory `cut-<position>` inside the data directory (with -2, -3, ... behind it
where there is one of that name), under the name it had; a segment of which only a part is cut is copied there whole
first. So moving the files back undoes a repair.

The order, in which a crash at any point leaves a directory that can be repaired again, and no file's only copy gone:
copies, synced; then moves, snapshots first and the log's segments from the newest on, synced; then, in what was copied,
zeros. Until the last step the directory is as damaged as before, or has a torn tail that ends at the same place.

Limits: what is cut is not searched for records that could still be read. A manifest cannot be made anew, since it alone
has the key by which keys are spread over shards; but only a restore to a point changes it, so any copy of the directory
made since the last one has it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from kvcy._facts import Examination, Found, LogFacts, SnapshotFacts
from kvcy._inspection import erase_segment, make_segment, write_segment_header
from kvcy.engine.directory import NEW_SUFFIX, Directory, Manifest, segment_name, snapshot_name
from kvcy.errors import DamagedError, DirectoryError
from kvcy.tools.check import describe_records, examine
from kvcy.tools.directories import opened


@dataclass
class Plan:
    """What is to be done in one round.

    Attributes:
        position: of the place it is about; names the directory for what is cut.
        copies: files that are changed in place, and therefore copied first.
        moves: files taken out of use, in this order.
        steps: what is done in place when all is copied and moved, in words and as calls.
        left: the log that is left, None when that is not known before the work is done.
    """

    position: int
    copies: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    steps: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    left: LogFacts | None = None


def repair(path: str, yes: bool, out: TextIO) -> bool:
    """Repairs a data directory, or without `yes` says what that would be; whether a server starts with it now.

    Raises:
        DamagedError: it cannot be repaired; nothing was changed.
        KvcyError, MemoryError: it could not be read or written.
    """
    with opened(path) as (directory, manifest):
        before: list[list[str]] = []  # ends: nothing is done twice, and a directory has finitely many segments
        while True:
            found = examine(directory, manifest)
            if found.startable:
                print(conclusion(directory.path, found, bool(before)), file=out)
                return True
            plan = make_plan(directory, manifest, found)
            tell(directory.path, found, plan, yes, out)
            if not yes:
                return False
            todo = [*plan.copies, *plan.moves, *(words for words, _ in plan.steps)]
            if todo in before:
                raise DirectoryError(f"{directory.path} is still as damaged as before, after: {', '.join(todo)}")
            before.append(todo)
            carry_out(directory, plan)


def conclusion(path: str, found: Examination, repaired: bool) -> str:
    if repaired:
        return f"repaired: a server starts with {path}. Records of the log: {describe_records(found.log)}"
    if found.found is Found.TORN:
        return "nothing to repair: the log ends in a torn tail, which the next start of a server cuts off"
    if found.faults:
        return "nothing to repair: a server starts, since it does not need the damaged part:\n  " + "\n  ".join(
            found.faults
        )
    return "nothing to repair: the directory is whole"


def tell(path: str, found: Examination, plan: Plan, yes: bool, out: TextIO) -> None:
    """Prints what is wrong and what is done about it."""
    cut = f"{path}/cut-{plan.position:016x}"
    for fault in found.faults:
        print(f"damaged: {fault}", file=out)
    print("this is done:" if yes else "this would be done:", file=out)
    for name in plan.copies:
        print(f"  copy {name} to {cut}/", file=out)
    for name in plan.moves:
        print(f"  move {name} to {cut}/", file=out)
    for words, _ in plan.steps:
        print(f"  {words}", file=out)
    if any(name.startswith(snapshot_name(0)[:9]) for name in plan.moves):
        print("what only the snapshot had (changes by a server with --appendonly no) is not in the log", file=out)
    if plan.left is not None:
        print(f"records of the log that are left: {describe_records(plan.left)}", file=out)
    if not yes:
        print("nothing was changed. To do it: kvcy repair --yes " + path, file=out)


# --- the plan

def make_plan(directory: Directory, manifest: Manifest, found: Examination) -> Plan:
    """REQUIRES: no server starts with what was found.

    Raises:
        DamagedError: nothing can be done.
    """
    refuse_unknown(found)
    if found.log.header:
        return plan_header(directory, manifest, found.log)
    base, log = choose(found)
    if log is None:
        raise DamagedError(
            f"{directory.path} cannot be repaired: no snapshot is whole and has the log that it needs, and the log is "
            "not there from its beginning. Restore it from a copy. What is wrong:\n  " + "\n  ".join(found.faults)
        )
    plan = Plan(log.end, left=log)
    plan.moves = [one.name for one in found.snapshots if base is None or one.position > base.position]
    if log.found is Found.DAMAGED:
        plan_cut(directory, manifest, found, log, plan)
    return plan


def refuse_unknown(found: Examination) -> None:
    """Raises DamagedError when what keeps a server from starting may be whole for another version of kvcy."""
    log = found.log
    if log.unknown or found.snapshots and found.snapshots[0].unknown:
        reason = log.reason if log.unknown else found.snapshots[0].fault
        raise DamagedError(
            f"not repaired: {reason}. A newer kvcy may have written this: use that one. Nothing was changed"
        )


def choose(found: Examination) -> tuple[SnapshotFacts | None, LogFacts | None]:
    """The newest snapshot that is whole and whose part of the log is there, and that log. Without one: the log from 0,
    if it is there and no snapshot stands before it. (None, None): there is nothing to go on with."""
    readings = [one for one in (found.log, found.earlier) if one is not None]
    for snapshot in found.snapshots:
        for log in readings:
            if not snapshot.fault and log.start <= snapshot.position and snapshot.greatest <= log.end:
                return snapshot, log
    if found.segments[:1] == [0] and all(one.position for one in found.snapshots):
        for log in readings:
            if log.start == 0:
                return None, log
    return None, None


def plan_header(directory: Directory, manifest: Manifest, log: LogFacts) -> Plan:
    """A segment's header says nothing that the manifest and the name do not: what is behind it may well be whole."""
    name = segment_name(log.segment)
    words = f"write the header of {name} anew, and look again"
    return Plan(log.end, [name], steps=[(words, lambda: write_segment_header(directory, manifest, log.segment))])


def plan_cut(directory: Directory, manifest: Manifest, found: Examination, log: LogFacts, plan: Plan) -> None:
    """Takes everything from the log's end on out of use."""
    number, inside = divmod(log.end, manifest.segment_bytes)
    later = [one for one in found.segments if one > number or one == number and not inside]
    plan.moves += [segment_name(one) for one in reversed(later)]
    if not inside:
        return
    name = segment_name(number)
    if number in found.segments:
        offset = log.offset
        plan.copies.append(name)
        words = f"make {name} zero from offset {offset} on (log position {log.end})"
        plan.steps.append((words, lambda: erase_segment(directory, manifest, number, offset)))
    else:
        plan.steps.append((f"make {name}, empty", lambda: make_segment(directory, manifest, number)))


# --- the work

def carry_out(directory: Directory, plan: Plan) -> None:
    """Raises DirectoryError when something could not be written: running it again goes on."""
    try:
        if plan.copies or plan.moves:
            aside = make_aside(directory, plan.position)
            try:
                for name in plan.copies:
                    copy(directory, aside, name)
                for name in plan.moves:
                    os.rename(name, name, src_dir_fd=directory.file, dst_dir_fd=aside)
                os.fsync(aside)
                directory.sync()
            finally:
                os.close(aside)
        for _, step in plan.steps:
            step()
    except OSError as error:
        raise DirectoryError(
            f"the repair of {directory.path} stopped: {error.strerror}. Nothing is lost: run it again"
        ) from error


def make_aside(directory: Directory, position: int) -> int:
    """Makes the directory for what is cut, synced; its descriptor."""
    plain = name = f"cut-{position:016x}"
    number = 1
    while True:  # ends: the directory has finitely many names
        try:
            os.mkdir(name, 0o700, dir_fd=directory.file)
            break
        except FileExistsError:
            number += 1
            name = f"{plain}-{number}"
    directory.sync()
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.file)


def copy(directory: Directory, aside: int, name: str) -> None:
    """A complete, synced copy of the file under the same name in the directory `aside`."""

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags, 0o600, dir_fd=directory.file if path == name else aside)

    with open(name, "rb", opener=opener) as source, open(name + NEW_SUFFIX, "wb", opener=opener) as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    os.rename(name + NEW_SUFFIX, name, src_dir_fd=aside, dst_dir_fd=aside)
    os.fsync(aside)
