"""Runs a script of crash_script.py in processes that end by SIGKILL at call 1, 2, 3, ... of those that change the disk,
until one ends by itself; after each, the directory is recovered and must hold what had been promised.

    PYTHONPATH=. python tests/kill_at_call.py SCRIPT SEED

SCRIPT: `new` begins with a directory that is not there; `torn` opens one with a torn tail, segments behind it that must
go, and files that were never finished. Each write is killed before anything is written, and with half of it written.
Prints how many kills there were, by kind.
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
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from crash_calls import Calls, Recorder, at_seam
from crash_disk import Disk, lay_out
from crash_script import NOTES, SHARDS, Promise, recovered, run

from kvcy._opening import open_data

COMMANDS = 25


class Killer(Calls):
    """Ends the process at the call `number`, from 1; halved: in the middle of the write of that number."""

    def __init__(self, number: int, halved: bool, said: int) -> None:
        self._left = number
        self._halved = halved
        self._said = said
        self._lock = threading.Lock()

    def before(self, kind: str, *about: Any) -> None:
        if self._halved and kind != "write":
            return
        with self._lock:
            self._left -= 1
            if self._left > 0:
                return
            if self._halved:
                file, data, offset = about
                os.pwrite(file, data[: len(data) // 2], offset)
            os.write(self._said, kind.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def torn(path: Path, seed: int) -> Promise:
    """Makes the directory of the script `torn`; what it promises."""
    for attempt in range(50):
        shutil.rmtree(path, ignore_errors=True)
        promise = torn_by(path, seed + 1000 * attempt)
        if promise is not None:
            return promise
    raise AssertionError("no run has left a torn tail")


def torn_by(path: Path, seed: int) -> Promise | None:
    """The same with the run of this seed; None: it left no torn tail over two segments."""
    recorder, promise = Recorder(), Promise()
    run(path, recorder, promise, seed, recorder.note)
    random, disk, promise = Random(seed), Disk(path), Promise()
    for event in recorder.events:
        (promise if event[0] in NOTES else disk).play(event)
        if len(promise.states) - promise.promised < 3 or event[0] != "write":
            continue
        files = disk.found(random)
        lay_out(files, path)
        with at_seam(Calls()):
            _, persistence, report = open_data(path, shards=SHARDS, policy="no")
            persistence.close()
        if report.torn and len([*path.glob("log-*")]) < len([name for name in files if name.startswith("log-")]):
            files["snapshot-ffffffffffffffff.new"] = files["log-ffffffffffffffff.new"] = b"unfinished"
            lay_out(files, path)
            return promise
    return None


Work = Callable[[Calls, Callable[..., None]], None]  # makes its calls through the one, and tells the other of events


def killed(work: Work, number: int, halved: bool) -> tuple[int, str]:
    """Works in a process that ends at the call: how many events it told of, and at what call ("": by itself)."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            killer = Killer(number, halved, writing)
            work(killer, lambda *_: os.write(writing, b"."))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(process, 0)
    kind = said.replace(".", "")  # the other thread may still have made a note
    if status != (signal.SIGKILL if kind else 0):
        raise AssertionError(f"the run that was to end at call {number} ended with status {status}")
    return len(said) - len(kind), kind


def lay_start(start: Path, path: Path) -> None:
    """Makes `path` what `start` is, if that is there at all."""
    shutil.rmtree(path, ignore_errors=True)
    if start.exists():
        shutil.copytree(start, path)


def kill_everywhere(script: str, seed: int, directory: Path) -> collections.Counter[str]:
    """Kills at every call; how many were killed, by kind."""
    start, path = directory / "start", directory / "data"
    promise = torn(start, seed) if script == "torn" else Promise()
    kills: collections.Counter[str] = collections.Counter()
    notes: list[tuple[Any, ...]] = []
    lay_start(start, path)
    run(path, Calls(), copy.deepcopy(promise), seed, lambda *event: notes.append(event), commands=COMMANDS)
    for halved in (False, True):
        for number in itertools.count(1):
            lay_start(start, path)
            promised = copy.deepcopy(promise)
            work = functools.partial(run, path, promise=promised, seed=seed, commands=COMMANDS)
            count, kind = killed(lambda calls, note, work=work: work(calls=calls, note=note), number, halved)
            for event in notes[:count]:
                promised.play(event)
            path.mkdir(exist_ok=True)
            try:
                promised.place(recovered(path))
            except Exception as error:
                raise AssertionError(f"{script}, seed {seed}, {kind} {number}, halved {halved}: {error}") from error
            if not kind:
                break
            kills[f"half a {kind}" if halved else kind] += 1
    return kills


def main() -> None:
    script, seed = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as directory:
        print(json.dumps(kill_everywhere(script, seed, Path(directory))))


if __name__ == "__main__":
    main()
