"""The power fails at any moment of a run: whatever the disk then legally holds, recovery finds what was promised.

Runs are recorded call by call; from the recordings, disks are made as they may be found (crash_disk.py), and each is
recovered. `KVCY_POWER_STATES=10000 python -m pytest tests/test_power_loss.py` makes that many for each kind of run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from crash_calls import Recorder, at_seam
from crash_disk import Disk, lay_out
from crash_script import NOTES, Promise, recovered, run
from kill_at_call import torn_run
from log_files import filling, opened

from probes import log_probe

STATES = int(os.environ.get("KVCY_POWER_STATES", "100"))
EVERYSEC_SEGMENT_BYTES = 1 << 18  # holds all: a change of segments would sync before its time


@dataclass
class Tape:
    """What happened to the directory `path`, from its making."""

    path: Path
    events: list[tuple[Any, ...]]

    def until(self, end: int) -> tuple[Disk, Promise]:
        disk, promise = Disk(self.path), Promise()
        for event in self.events[:end]:
            play(event, disk, promise)
        return disk, promise


def play(event: tuple[Any, ...], disk: Disk, promise: Promise) -> None:
    (promise if event[0] in NOTES else disk).play(event)


def record(tape: Tape, seed: int, policy: str | None = "no", fail_sync: int = 0, direct: bool = True) -> Tape:
    """The tape goes on with one more run on what the process before it left behind."""
    disk, promise = tape.until(len(tape.events))
    tape.path.mkdir(exist_ok=True)
    lay_out(disk.live(), tape.path)
    if not tape.events:
        tape.path.rmdir()
    recorder = Recorder(fail_sync, len(tape.events), direct)
    run(tape.path, recorder, promise, seed, recorder.note, policy=policy)
    return Tape(tape.path, tape.events + recorder.events)


def moments_of_doubt(tape: Tape, begin: int) -> list[int]:
    """Those from `begin` on at which names were given or taken away that no sync has covered: few, and the worst."""
    disk, promise = tape.until(begin)
    moments = []
    for number, event in enumerate(tape.events[begin:], begin + 1):
        play(event, disk, promise)
        if disk.names_in_doubt:
            moments.append(number)
    return moments


def assert_recovers(tape: Tape, begin: int, scratch: Path, states: int, seed: int) -> None:
    """Lets the power fail at `states` moments from the event `begin` on, half of them such that names are in doubt."""
    random = Random(seed)
    doubtful = moments_of_doubt(tape, begin)
    moments = sorted(
        random.choice(doubtful) if doubtful and number % 2 else random.randrange(begin, len(tape.events) + 1)
        for number in range(states)
    )
    disk, promise = tape.until(begin)
    scratch.mkdir(exist_ok=True)
    played = begin
    for number, moment in enumerate(moments):
        for event in tape.events[played:moment]:
            play(event, disk, promise)
        played = moment
        lay_out(disk.found(Random(f"{seed} {number}")), scratch)
        try:
            promise.place(recovered(scratch))
        except Exception as error:
            raise AssertionError(f"seed {seed}, disk {number}, after event {moment}: {error}") from error


@pytest.mark.parametrize(
    ("policy", "direct"), [("always", True), ("always", False), ("no", True), (None, True)],
    ids=["always", "always, by the cache", "no", "no log"],
)
def test_what_was_promised_survives_a_power_cut(tmp_path: Path, policy: str | None, direct: bool) -> None:
    """Without a log, snapshots alone promise."""
    for seed in range(max(1, STATES // 1000)):
        tape = record(Tape(tmp_path / "data", []), seed, policy, direct=direct)
        kinds = {event[0] for event in tape.events}
        assert kinds >= {"open", "write", "sync", "rename", "issued", "promised"}
        assert not policy or kinds >= {"allocate", "unlink"}
        assert_recovers(tape, 0, tmp_path / "scratch", min(STATES, 1000), seed)


def test_a_power_cut_after_a_restart(tmp_path: Path) -> None:
    """The process is killed, another one recovers what it reads, and then the power fails."""
    random = Random(1)
    for seed in range(max(2, STATES // 100)):
        tape = record(Tape(tmp_path / "data", []), seed)
        tape = Tape(tape.path, tape.events[: random.randrange(len(tape.events))])
        begin = len(tape.events)
        tape = record(tape, seed + 1000)
        assert_recovers(tape, begin, tmp_path / "scratch", min(STATES // 2, 100), seed)


def test_a_power_cut_while_a_torn_tail_is_cut(tmp_path: Path) -> None:
    """Segments behind it have to go: which of them are left must not matter."""
    for seed in range(max(2, STATES // 100)):
        path = tmp_path / f"data {seed}"
        torn = torn_run(path, seed)
        events = record(Tape(path, torn), seed).events
        opened_at = [event[0] for event in events].index("restart", len(torn))
        assert_recovers(Tape(path, events[:opened_at]), len(torn), tmp_path / "scratch", min(STATES // 2, 100), seed)


def test_a_directory_whose_maker_was_killed(tmp_path: Path) -> None:
    """Its name was not synced by the process that made it; the next one finds it there, and promises things in it."""
    tape = Tape(tmp_path / "data", [("make_directory",)])
    assert_recovers(record(tape, 1), 1, tmp_path / "scratch", 20, 1)


def test_a_power_cut_after_a_sync_failed(tmp_path: Path) -> None:
    """What the failed sync should have covered is on the disk or not, while the next process reads all of it."""
    failed = 0
    for seed in range(max(2, STATES // 100)):
        tape = record(Tape(tmp_path / "data", []), seed, ("no", "always")[seed % 2], fail_sync=1 + seed * 7 % 40)
        failed += any(event[0] == "sync_failed" for event in tape.events)
        begin = len(tape.events)
        tape = record(tape, seed + 1000)
        assert_recovers(tape, begin, tmp_path / "scratch", min(STATES // 2, 100), seed)
    assert failed > max(2, STATES // 100) // 2


def record_everysec(path: Path, seed: int) -> list[tuple[Any, ...]]:
    """A log with everysec, by a clock that stands until it is moved: ("appended", record, its time) beside calls."""
    random, recorder, now_ns = Random(seed), Recorder(), 1
    path.mkdir()
    recorder.note("open_directory", 0, "..")
    recorder.note("sync", 0)
    with at_seam(recorder):
        directory = recorder.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
        log_probe.set_clock_ns(now_ns)
        writer = log_probe.Writer(directory, EVERYSEC_SEGMENT_BYTES, policy=log_probe.EVERYSEC)
        for number in range(500):
            record = filling(random.choice((8, 30, 200, 1000)), number)
            recorder.note("appended", record, now_ns)
            writer.append(record)
            now_ns += random.randrange(20_000_000)
            log_probe.set_clock_ns(now_ns)
            recorder.note("time", now_ns)
            writer.step()
        writer.close()
        recorder.close(directory)
    return recorder.events


def test_everysec_loses_a_second_at_most(tmp_path: Path) -> None:
    events = record_everysec(tmp_path / "data", 1)
    random = Random(2)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    disk, appended, now_ns, lost_most_ns = Disk(tmp_path / "data"), [], 1, 0
    for event in events:
        if event[0] == "appended":
            appended.append(event[1:])
        elif event[0] == "time":
            now_ns = event[1]
        else:
            disk.play(event)
        if random.random() * len(events) > STATES:
            continue
        lay_out(disk.found(random), scratch)
        with opened(scratch) as directory:
            found, verdict = log_probe.read(directory, EVERYSEC_SEGMENT_BYTES)
        assert verdict["found"] in ("end", "torn"), verdict
        assert [record[-1] for record in found] == [record for record, _ in appended][: len(found)]
        if len(found) < len(appended):
            lost_most_ns = max(lost_most_ns, now_ns - appended[len(found)][1])
    assert 250_000_000 < lost_most_ns <= 1_000_000_000
