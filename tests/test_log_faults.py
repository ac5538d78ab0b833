"""The log on a disk that fails, fills up or interrupts: nothing is acknowledged that is not there afterwards."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_files import filling, flushing, opened, segments

from probes import fault_probe, log_probe
from probes.log_probe import BROKEN, FULL, WORKING, Writer

SIZES = [700, 3, 5000, 1200, 60, 2500, 900, 4064, 10]
RETRY_NS = 100_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    log_probe.set_clock_ns(1)
    with opened(tmp_path) as descriptor:
        yield descriptor
    fault_probe.stop()


def play(writer: Writer) -> list[tuple[int, bytes]]:
    """Appends the records, a step after each; the end and content of all."""
    records = []
    for number, size in enumerate(SIZES):
        data = filling(size, number)
        records.append((writer.append(data), data))
        writer.step()
    return records


def calls_of(directory: int, tmp_path: Path) -> dict[str, int]:
    """How many calls of each kind an undisturbed run makes after opening."""
    fault_probe.play()
    writer = Writer(directory, 4096, 1 << 16)
    fault_probe.play()
    play(writer)
    counts: dict[str, int] = fault_probe.counts()
    fault_probe.play()
    assert writer.close() == 0
    for path in segments(tmp_path):
        path.unlink()
    return counts


BREAKING = [
    ("write", errno.EIO), ("sync", errno.EIO), ("sync", errno.ENOSPC), ("sync_directory", errno.EIO),
    ("sync_directory", errno.ENOSPC), ("allocate", errno.EIO), ("rename", errno.EIO), ("open", errno.EMFILE),
]


@pytest.mark.parametrize("kind, error", BREAKING, ids=lambda value: value if isinstance(value, str) else str(value))
def test_nothing_is_acknowledged_after_an_error(directory: int, tmp_path: Path, kind: str, error: int) -> None:
    """The n-th call fails, once, for every n: what was durable stays the last that ever is, and is found again."""
    calls = calls_of(directory, tmp_path)[kind]
    assert calls > 2
    for number in range(1, calls + 1):
        fault_probe.play()
        writer = Writer(directory, 4096, 1 << 16)
        fault_probe.play(kind, first=number, last=number, error=error)
        records = play(writer)
        durable = writer.durable
        # A new segment's sync that met a full disk: the segment is made again.
        full = kind == "sync" and error == errno.ENOSPC and writer.state != BROKEN
        if not full:
            assert writer.state == BROKEN and writer.error in (error, errno.EIO)
            assert durable < writer.appended
            assert not writer.wait(writer.appended)
            writer.append(b"more")
            writer.step()
            assert writer.durable == durable
            assert writer.close() == -writer_error(error, kind)
        else:
            assert writer.close() == 0
        fault_probe.play()
        found, verdict = log_probe.read(directory)
        assert [record[-1] for record in found] == [data for _, data in records][: len(found)]
        assert len(found) >= sum(end <= durable for end, _ in records)
        assert verdict["found"] in ("end", "torn"), verdict
        for path in tmp_path.iterdir():
            path.unlink()


def writer_error(error: int, kind: str) -> int:
    return errno.EIO if kind == "sync_directory" else error


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind, error", [
    ("write", errno.ENOSPC), ("write", errno.EDQUOT), ("allocate", errno.ENOSPC), ("open", errno.ENOSPC),
    ("rename", errno.ENOSPC), ("sync", errno.ENOSPC),
])
def test_a_full_disk_is_tried_again(directory: int, tmp_path: Path, kind: str, error: int, times: int) -> None:
    calls = calls_of(directory, tmp_path)[kind]
    seen = set()
    for number in range(1, calls + 1):
        fault_probe.play()
        writer = Writer(directory, 4096, 1 << 16)
        fault_probe.play(kind, first=number, last=number + times - 1, error=error)
        records = []
        for index, size in enumerate(SIZES):
            records.append(filling(size, index))
            writer.append(records[-1])
            seen.add(writer_turns(writer))
        if kind == "sync" and writer.state == BROKEN:
            assert writer.durable < writer.appended
            writer.close()
        else:
            assert writer.state == WORKING and writer.durable == writer.appended
            assert writer.close() == 0
            found, verdict = log_probe.read(directory)
            assert [record[-1] for record in found] == records and verdict["found"] == "end"
        for path in tmp_path.iterdir():
            path.unlink()
    assert FULL in seen


def writer_turns(writer: Writer) -> int:
    """Turns of the flusher until it has nothing to try again; the state after the first."""
    turns = 0
    writer.step()
    state: int = writer.state
    while writer.state == FULL and turns < 10:
        assert writer.error in (errno.ENOSPC, errno.EDQUOT)
        turns += 1
        log_probe.set_clock_ns(RETRY_NS * turns + 1_000_000_000)
        assert writer.step() <= 5 * RETRY_NS
    assert turns < 10
    return state


def test_a_disk_that_stays_full(directory: int) -> None:
    """It is said before the ring is full, and the log ends with what it has."""
    writer = Writer(directory, 1 << 16, 1 << 13)
    fault_probe.play("allocate", first=1, error=errno.ENOSPC)
    while writer.state == WORKING:
        end = writer.append(filling(1000))
        writer.step()
        assert writer.durable == end
    assert writer.state == FULL and writer.error == errno.ENOSPC
    assert (1 << 16) - (1 << 14) - 2000 < end < 1 << 16
    for number in range(12):
        end = writer.append(filling(1000))
        writer.try_again(number % 2 == 0)
        writer.step()
        assert writer.durable == end and writer.state == FULL
    assert writer.close() == 0
    assert log_probe.read(directory, 1 << 16)[1]["position"] == end


def test_closing_on_a_full_disk_says_so(directory: int) -> None:
    writer = Writer(directory, 4096, 1 << 16)
    fault_probe.play("allocate", first=1, error=errno.ENOSPC)
    writer.append(filling(5000))
    assert writer.close() == -errno.ENOSPC


@pytest.mark.parametrize("seed", range(5))
def test_short_and_interrupted_calls_make_no_difference(directory: int, tmp_path: Path, seed: int) -> None:
    images = []
    for disturbed in (False, True):
        fault_probe.play(interrupted=disturbed, shortened=disturbed, seed=seed + 1)
        writer = Writer(directory, 4096, 1 << 16)
        play(writer)
        assert writer.state == WORKING and writer.durable == writer.appended and writer.close() == 0
        images.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
        for path in tmp_path.iterdir():
            path.unlink()
    assert images[0] == images[1] and len(images[0]) > 2


def test_opening_that_fails_leaves_what_was_there(directory: int, tmp_path: Path) -> None:
    """Each call of opening a log with a torn tail fails in turn; then it is opened, and whole."""
    writer = Writer(directory, 4096, 1 << 16)
    records = play(writer)
    assert writer.close() == 0
    end, _ = records[3]
    options = {"position": end, "durable": records[1][0], "erase": True}
    fault_probe.play()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    Writer(directory, 4096, 1 << 16, **options).close()
    calls = fault_probe.count()
    assert calls > 10
    for number in range(1, calls):
        for path, data in before.items():
            path.write_bytes(data)
        fault_probe.play(first=number, last=number, error=errno.EIO)
        try:
            Writer(directory, 4096, 1 << 16, **options).close()
        except OSError as error:
            assert error.errno == errno.EIO
        fault_probe.play()
        assert Writer(directory, 4096, 1 << 16, **options).close() == 0
        found, verdict = log_probe.read(directory)
        assert [record[-1] for record in found] == [data for _, data in records[:4]] and verdict["found"] == "end"


@pytest.mark.parametrize("kind", ["write", "sync", "allocate"])
def test_a_log_that_breaks_lets_nobody_hang(directory: int, kind: str) -> None:
    """Appenders with more than the ring holds, and those who wait, come back."""
    writer = Writer(directory, 1 << 13, 1 << 12, real_clock=True)
    fault_probe.play(kind, first=3, error=errno.EIO)
    with flushing(writer):
        for _ in range(10):
            writer.append_numbered(1, 100, 1000)
        assert not writer.wait(writer.appended)
        assert writer.state == BROKEN and writer.error == errno.EIO
    fault_probe.play()
    assert writer.close() == -errno.EIO
    found, verdict = log_probe.read(directory, 1 << 13)
    assert verdict["found"] in ("end", "torn")


def test_who_appends_does_not_wait_for_a_flusher_that_is_slow(directory: int) -> None:
    """As long as the disk does nothing, the ring grows, to sixteen times its size."""
    records = [filling(4064, number) for number in range(16)]  # with its header 4,096
    writer = Writer(directory, 1 << 16, 1 << 12)
    sizes = []
    for record in records:
        writer.append(record)
        sizes.append(writer.ring_bytes)
    assert sizes == [1 << 12] + [1 << 14] * 3 + [1 << 16] * 12
    writer.step()
    assert writer.durable == writer.appended
    records.append(b"last")
    writer.append(records[-1])
    assert writer.ring_bytes == 1 << 12
    assert writer.close() == 0
    found, verdict = log_probe.read(directory, 1 << 16)
    assert verdict["found"] == "end"
    assert [record[-1] for record in found] == records


@pytest.mark.parametrize("policy", [log_probe.ALWAYS, log_probe.EVERYSEC])
def test_a_record_larger_than_the_ring_does_not_wait_for_a_full_disk(directory: int, policy: int) -> None:
    """Who appends comes back; the record is written when there is room, and then the ring is small again."""
    large = [filling(size, size) for size in (50_000, 30_000, 9)]
    writer = Writer(directory, 1 << 13, 1 << 12, real_clock=True, policy=policy)
    fault_probe.play("allocate", first=1, error=errno.ENOSPC)
    with flushing(writer):
        ends = [writer.append(data) for data in large]
        assert writer.state == FULL and writer.ring_bytes >= 50_000
        assert writer.durable < ends[0] < writer.appended
        fault_probe.fail("allocate", 0, 0, 0)
        assert writer.wait(ends[-1])
        end = writer.append(b"last")
        assert writer.ring_bytes == 1 << 12
        assert writer.wait(end)
    assert writer.close() == 0
    found, verdict = log_probe.read(directory, 1 << 13)
    assert [record[-1] for record in found] == [*large, b"last"] and verdict["found"] == "end"


def test_a_log_that_ends_on_a_full_disk_with_a_large_record(directory: int) -> None:
    writer = Writer(directory, 1 << 13, 1 << 12, real_clock=True)
    fault_probe.play("allocate", first=1, error=errno.ENOSPC)
    with flushing(writer):
        end = writer.append(filling(50_000))
    assert writer.durable < end and not writer.wait(end)
    assert writer.close() == -errno.ENOSPC
    fault_probe.play()
    found, verdict = log_probe.read(directory, 1 << 13)
    assert found == [] and verdict["found"] == "torn"
