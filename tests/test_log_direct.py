"""The log's blocks past the system's cache, under `always`: the same bytes, and the usual way where that is refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from log_files import HEADER, filling, opened, segments

from probes import fault_probe, log_probe
from probes.log_probe import ALWAYS, BROKEN, EVERYSEC, WORKING, Writer

SEGMENT_BYTES = 1 << 16


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    log_probe.set_clock_ns(1)
    fault_probe.play()
    with opened(tmp_path) as descriptor:
        yield descriptor
    fault_probe.stop()


def is_direct(path: Path) -> bool:
    """Whether this process has the file open for direct writing."""
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            same = os.path.samefile(f"/proc/self/fd/{descriptor}", path)
        except OSError:  # the one that lists them
            continue
        if same:
            with open(f"/proc/self/fdinfo/{descriptor}") as info:
                flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
            return bool(flags & os.O_DIRECT)
    raise AssertionError(f"{path} is not open")


@pytest.fixture
def direct_disk(tmp_path: Path) -> None:
    try:
        os.close(os.open(tmp_path / "probe", os.O_CREAT | os.O_RDWR | os.O_DIRECT))
    except OSError:
        pytest.skip("the file system knows no direct writing")
    (tmp_path / "probe").unlink()


def newest_with_records(path: Path) -> Path:
    return max(one for one in segments(path) if any(one.read_bytes()[HEADER:]))


def written(path: Path, direct: bool) -> dict[str, bytes]:
    """The segments of a log that was written, with changes of policy and two openings, by either way."""
    random = Random(7)
    path.mkdir()
    fault_probe.play(direct=direct)
    position = 0
    with opened(path) as directory:
        for _ in range(3):
            writer = Writer(directory, SEGMENT_BYTES, 1 << 20, position)
            for number in range(150):
                if random.random() < 0.1:
                    writer.set_policy(random.choice((ALWAYS, EVERYSEC)))
                writer.append(filling(random.choice((1, 8, 30, 500, 4064, 20_000, 300_000)), number))
                if random.random() < 0.7:
                    writer.step()
            writer.set_policy(ALWAYS)
            writer.append(b"the last")
            writer.step()
            assert is_direct(newest_with_records(path)) == direct
            position = writer.appended
            assert writer.close() == 0
    return {one.name: one.read_bytes() for one in segments(path)}


def test_the_bytes_are_the_same_by_either_way(tmp_path: Path, direct_disk: None) -> None:
    log_probe.set_clock_ns(1)
    try:
        assert written(tmp_path / "direct", True) == written(tmp_path / "cached", False)
    finally:
        fault_probe.stop()


def test_it_is_direct_under_always(directory: int, tmp_path: Path, direct_disk: None) -> None:
    writer = Writer(directory, SEGMENT_BYTES)
    (segment,) = segments(tmp_path)
    assert not is_direct(segment)
    for policy, direct in [(ALWAYS, True), (EVERYSEC, False), (ALWAYS, True)]:
        writer.set_policy(policy)
        writer.append(b"record")
        writer.step()
        assert is_direct(segment) == direct
    assert writer.close() == 0


def test_it_is_not_direct_where_flushes_take_long(directory: int, tmp_path: Path, direct_disk: None) -> None:
    writer = Writer(directory, SEGMENT_BYTES)
    (segment,) = segments(tmp_path)
    records = []
    for usual_us, direct in [(499, True), (500, False), (10_000, False), (499, True)]:
        writer.flushes_take(usual_us)
        records.append(b"%d" % usual_us)
        writer.append(records[-1])
        writer.step()
        assert is_direct(segment) == direct
        assert writer.durable == writer.appended
    assert writer.close() == 0
    found, _ = log_probe.read(directory, SEGMENT_BYTES)
    assert [record[-1] for record in found][: len(records)] == records


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("number", [1, 2, 3], ids=["zeros", "a record", "a record within a block"])
def test_a_disk_that_refuses_is_written_in_the_usual_way(
    directory: int, tmp_path: Path, direct_disk: None, number: int, error: int
) -> None:
    """It may do so only when it is written to; the next segment is tried again."""
    writer = Writer(directory, SEGMENT_BYTES, 1 << 20)
    records = [filling(size, size) for size in (10, 5000, 70_000, 20)]
    fault_probe.play("write", first=number, last=number, error=error)
    for record in records[:2]:
        writer.append(record)
        writer.step()
        assert writer.durable == writer.appended and writer.state == WORKING
    assert not is_direct(segments(tmp_path)[0])
    for record in records[2:]:
        writer.append(record)
        writer.step()
    assert writer.durable == writer.appended
    assert is_direct(segments(tmp_path)[1])
    assert writer.close() == 0
    found, _ = log_probe.read(directory, SEGMENT_BYTES)
    assert [record[-1] for record in found][: len(records)] == records


def test_an_error_of_a_direct_write_breaks_the_log(directory: int, direct_disk: None) -> None:
    """Nothing of it is tried in the usual way."""
    writer = Writer(directory, SEGMENT_BYTES)
    writer.append(b"good")
    writer.step()
    durable = writer.durable
    fault_probe.play("write", first=1, last=1, error=errno.EIO)
    writer.append(b"lost")
    writer.step()
    assert writer.state == BROKEN and writer.error == errno.EIO and writer.durable == durable
    assert fault_probe.counts()["write"] == 1
    assert writer.close() == -errno.EIO


def test_a_direct_write_that_met_a_full_disk_is_made_again(directory: int, direct_disk: None) -> None:
    writer = Writer(directory, SEGMENT_BYTES)
    records = [filling(size, size) for size in (10, 5000, 300)]
    for record in records:
        writer.append(record)
        fault_probe.play("write", first=1, last=1, error=errno.ENOSPC)
        writer.step()
        assert writer.durable < writer.appended
        writer.step()
        assert writer.durable == writer.appended and writer.state == WORKING
    assert writer.close() == 0
    found, _ = log_probe.read(directory, SEGMENT_BYTES)
    assert [record[-1] for record in found][: len(records)] == records
