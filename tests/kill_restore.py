"""Restores a data directory to a point in processes that end by SIGKILL at call 1, 2, 3, ... of those that change the
disk; then finishes a restore that was decided in processes that are killed in the same way.

    PYTHONPATH=. python tests/kill_restore.py

After each kill a start must find either what was there before or the result, no half of either, and all old files.
Prints how many kills there were, by kind, and how often each was found.
"""

from __future__ import annotations

import collections
import itertools
import json
import tempfile
from pathlib import Path

from crash_calls import Calls, at_seam
from crash_script import SHARDS, State, recovered
from data_directories import fill, opened
from kill_at_call import Work, killed, kind_of, lay_start, numbers

from kvcy._opening import open_data
from kvcy._restoring import Point, restore
from probes import seam_probe

KEYS = 60  # of 100 bytes: the log reaches over several segments


def make(path: Path) -> tuple[Point, State, State]:
    """Makes a directory with a snapshot and a log: a point of it, what it held then, and what it holds now."""
    fill(path, 0, KEYS)
    with opened(path) as (_, persistence):
        persistence.save()
    fill(path, KEYS // 2, KEYS + 1, b"later" * 20)
    then = recovered(path)
    with opened(path) as (_, persistence):
        point = Point.parse(str(persistence.positions()[0]))
    fill(path, 0, KEYS + 2, b"last" * 20)
    return point, then, recovered(path)


def old_files(path: Path) -> dict[str, bytes]:
    """The files of one line of history, in the directory itself."""
    return {
        one.name: one.read_bytes()
        for one in path.iterdir()
        if one.is_file() and not one.name.endswith(".new") and one.name != "kvcy.lock"
    }


def restoring(path: Path, point: Point) -> Work:
    def work(calls: Calls, _: object) -> None:
        with at_seam(calls):
            restore(str(path), point, lambda line: None)

    return work


def starting(path: Path) -> Work:
    def work(calls: Calls, _: object) -> None:
        with at_seam(calls):
            open_data(path, shards=SHARDS, policy=None)

    return work


def judge(path: Path, start: Path, then: State, now: State) -> str:
    """What a start finds. Raises AssertionError when it is what may not be."""
    found = recovered(path)
    left = [one.name for one in path.iterdir() if one.name.startswith("recovered")]
    assert not left, left
    if found == now:
        return "before"
    assert found == then, f"neither what was there before nor the result: {sorted(found)}"
    (aside,) = (one for one in path.iterdir() if one.name.startswith("before-"))
    assert old_files(aside) == old_files(start)
    return "result"


def kill_everywhere(directory: Path) -> collections.Counter[str]:
    """Kills at every call; how many were killed, by kind, and what was found how often."""
    start, decided, path = directory / "start", directory / "decided", directory / "data"
    point, then, now = make(start)
    counts: collections.Counter[str] = collections.Counter()
    for part in seam_probe.PARTS:
        for number in numbers(part, 1):
            lay_start(start, path)
            _, kind = killed(restoring(path, point), number, part)
            if not decided.exists() and any(path.glob("recovered-*")):
                lay_start(path, decided)
            found = judge(path, start, then, now)
            counts[found] += 1
            if not kind:
                assert found == "result"
                break
            if found == "before":
                restore(str(path), point, lambda line: None)
                assert recovered(path) == then
            counts[kind_of(kind, part)] += 1
    for number in itertools.count(1):
        lay_start(decided, path)
        _, kind = killed(starting(path), number, "none")
        assert judge(path, start, then, now) == "result"
        if not kind:
            break
        counts[f"finishing: {kind}"] += 1
    return counts


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as directory:
        print(json.dumps(kill_everywhere(Path(directory))))


if __name__ == "__main__":
    main()
