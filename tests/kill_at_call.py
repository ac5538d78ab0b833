"""Runs a script of crash_script.py in processes that end by SIGKILL at call 1, 2, 3, ... of those that change the disk,
until one ends by itself; after each, the directory is recovered and must hold what had been promised.

    PYTHONPATH=. python tests/kill_at_call.py SCRIPT SEED [STEP]

SCRIPT: `new` begins with a directory that is not there; `torn` opens one with a torn tail, segments behind it that must
go, and files that were never finished; `forked` is like `new`, but children write the snapshots; `unlogged` has no log,
and `unlogged-forked` neither that nor a parent that writes. Each call is killed before it has done anything, and each
write and allocation when it has been done in part (PARTS of probes/seam_probe.pyx): a half, some whole sectors of 512
bytes, or the first 16 bytes, half the header of a record. In children only writes are killed, and the parent with them.
With a STEP the process dies at every STEP-th call that is done in part. Prints how many kills there were, by kind.
"""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from crash_calls import SEGMENT_BYTES, Calls, Recorder, at_seam
from crash_disk import Disk, lay_out
from crash_script import NOTES, SHARDS, Promise, contents, recovered, run, shadow_of
from log_files import HEADER, filling

from kvcy._opening import open_data
from probes import seam_probe

COMMANDS = 25
CONCLUSION_BYTES = 33  # the record with which a log is closed in good order, without its padding
SCRIPTS: dict[str, dict[str, Any]] = {  # arguments of crash_script.run
    "new": {},
    "always": {"policy": "always"},
    "torn": {},
    "forked": {"forked": True},
    "unlogged": {"policy": None, "saves": 4},
    "unlogged-forked": {"policy": None, "saves": 4, "forked": True},
}


class Killer(Calls):
    """Ends the process at the call `number`, from 1, of those that can be done in that part, and then are."""

    def __init__(self, number: int, part: str, said: int) -> None:
        self._left = number
        self._part = part
        self._said = said
        self._lock = threading.Lock()

    def before(self, kind: str, *about: Any) -> None:
        size = self._size(kind, *about)
        if self._part != "none" and size == 0:
            return
        with self._lock:
            self._left -= 1
            if self._left > 0:
                return
            if size and kind == "write":
                file, data, offset = about
                os.pwrite(file, data[:size], offset)
            elif size:
                os.posix_fallocate(about[0], 0, size)
            os.write(self._said, kind.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def _size(self, kind: str, *about: Any) -> int:
        """How many bytes of the call are the part."""
        if kind == "write":
            return seam_probe.done_in_part(self._part, len(about[1]), about[2])
        return seam_probe.done_in_part(self._part, about[1], 0) if kind == "allocate" else 0


def torn(path: Path, seed: int) -> Promise:
    """Makes the directory of the script `torn`; what it promises."""
    disk, promise = Disk(path), Promise()
    for event in torn_run(path, seed):
        (promise if event[0] in NOTES else disk).play(event)
    files = disk.found(Random(seed))
    files["snapshot-ffffffffffffffff.new"] = files["log-ffffffffffffffff.new"] = b"unfinished"
    lay_out(files, path)
    assert_torn(path, files)
    return promise


def torn_run(path: Path, seed: int) -> list[tuple[Any, ...]]:
    """The events of a run that leaves a torn tail in the directory, and segments behind it that must go.

    A run ends in good order; the next process writes a few records of which it promises nothing, and the power fails
    when a half of the last one's end is written. That record reaches over segments, so those behind it have to go.
    """
    recorder, random = Recorder(), Random(seed)
    promise = Promise()
    run(path, recorder, promise, seed, recorder.note)
    with at_seam(recorder):
        store, persistence, _ = open_data(path, shards=SHARDS, policy="no")
        shadow = shadow_of(promise.states[-1])
        for number, size in enumerate((30, 300, 3000, random.randrange(2 * SEGMENT_BYTES, 4 * SEGMENT_BYTES))):
            words = ("SET", f"key:{number}", filling(size, seed))
            shadow.execute(*words)
            recorder.note("issued", contents(shadow))
            store.execute(*words)
        persistence.close()
    return torn_events(recorder.events)


def torn_events(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Those until the last write of records, which is done by half, before the log was concluded."""
    names = {event[1]: event[2] for event in events if event[0] == "open"}
    last = len(events) - 1
    while (
        events[last][0] != "write"
        or events[last][2] < HEADER
        or len(events[last][3].rstrip(b"\0")) <= CONCLUSION_BYTES
        or not names[events[last][1]].startswith("log-")
    ):
        last -= 1
    kind, handle, offset, data = events[last]
    size = len(data.rstrip(b"\0"))  # there may be zeros behind the record
    return [*events[:last], (kind, handle, offset, data[: size // 2 & ~7])]


def assert_torn(path: Path, files: dict[str, bytes]) -> None:
    """Raises AssertionError when a start finds no torn tail, or no segment behind it that must go."""
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as copy, at_seam(Calls()):
        lay_out(files, Path(copy))
        _, persistence, report = open_data(copy, shards=SHARDS, policy="no")
        persistence.close()
        assert report.torn
        assert len([*Path(copy).glob("log-*")]) < len([*path.glob("log-*[0-9a-f]")])


Work = Callable[[Calls, Callable[..., None]], None]  # makes its calls through the one, and tells the other of events


def killed(work: Work, number: int, part: str, in_child: bool = False) -> tuple[int, str]:
    """Works in a process that ends at the call, or together with its child at the child's write of that number.

    Returns how many events it told of, and at what call it ended ("": by itself)."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            killer = Killer(sys.maxsize if in_child else number, part, writing)
            seam_probe.kill_in_child(number if in_child else 0, part)
            work(killer, lambda *_: os.write(writing, b"."))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(process, 0)
    kind = said.replace(".", "")  # the other thread may still have made a note
    if in_child and status == signal.SIGKILL:
        return len(said), "write of a child"
    if status != (signal.SIGKILL if kind else 0):
        raise AssertionError(f"the run that was to end at call {number} ended with status {status}")
    return len(said) - len(kind), kind


def lay_start(start: Path, path: Path) -> None:
    """Makes `path` what `start` is, if that is there at all."""
    shutil.rmtree(path, ignore_errors=True)
    if start.exists():
        shutil.copytree(start, path)


def kind_of(kind: str, part: str) -> str:
    return kind if part == "none" else f"{part} of {kind}"


def numbers(part: str, step: int) -> Iterator[int]:
    """Those of the calls to be killed at."""
    return itertools.count(1) if part == "none" else itertools.count(step, step)


def kill_everywhere(script: str, seed: int, step: int, directory: Path) -> collections.Counter[str]:
    """Kills at every call; how many were killed, by kind."""
    start, path = directory / "start", directory / "data"
    promise = torn(start, seed) if script == "torn" else Promise()
    options = {"seed": seed, "commands": COMMANDS, **SCRIPTS[script]}
    kills: collections.Counter[str] = collections.Counter()
    notes: list[tuple[Any, ...]] = []
    lay_start(start, path)
    run(path, Calls(), copy.deepcopy(promise), note=lambda *event: notes.append(event), **options)
    for part, in_child in itertools.product(seam_probe.PARTS, (False, True) if options.get("forked") else (False,)):
        for number in numbers(part, 1 if in_child else step):
            lay_start(start, path)
            promised = copy.deepcopy(promise)
            work = functools.partial(run, path, promise=promised, **options)
            count, kind = killed(lambda calls, note, work=work: work(calls=calls, note=note), number, part, in_child)
            for event in notes[:count]:
                promised.play(event)
            path.mkdir(exist_ok=True)
            try:
                promised.place(recovered(path))
            except Exception as error:
                raise AssertionError(f"{script}, seed {seed}, {kind_of(kind, part)} {number}: {error}") from error
            if not kind:
                break
            kills[kind_of(kind, part)] += 1
    return kills


def main() -> None:
    script, seed, step = sys.argv[1], int(sys.argv[2]), int((sys.argv[3:] or ["1"])[0])
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as directory:
        print(json.dumps(kill_everywhere(script, seed, step, Path(directory))))


if __name__ == "__main__":
    main()
