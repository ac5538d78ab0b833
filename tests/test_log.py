"""The log, written and read back: records of every size over every border, positions, policies, waiting, threads."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from log_files import HEADER, fill, filling, flushing, opened, segments

from probes import fault_probe, log_probe
from probes.log_probe import Writer


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    with opened(tmp_path) as descriptor:
        yield descriptor
    fault_probe.stop()


def operations(directory: int, **options: int) -> list[bytes]:
    """All records of a log that must end cleanly."""
    records, verdict = log_probe.read(directory, **options)
    assert verdict["found"] == "end", verdict
    return [record[-1] for record in records]


@settings(max_examples=examples(60), deadline=None)
@given(
    sizes=st.lists(st.integers(1, 300) | st.integers(3900, 4200) | st.integers(1, 20_000), max_size=30),
    steps=st.integers(1, 5),
    ring=st.sampled_from([1 << 12, 1 << 16]),
    reopen=st.integers(0, 30),
)
def test_what_is_appended_is_read_back(sizes: list[int], steps: int, ring: int, reopen: int) -> None:
    """A model test: the log is a list of records, whatever their sizes and however often it is opened again."""
    expected: list[bytes] = []
    fault_probe.play()
    with TemporaryDirectory() as name, opened(Path(name)) as directory:
        writer = Writer(directory, 4096, ring)
        for number, size in enumerate(sizes):
            expected.append(filling(size, number))
            with_room(writer, expected[-1], ring)
            if number % steps == 0:
                writer.step()
                assert writer.durable == writer.appended
            if number == reopen:
                end, durable = writer.appended, writer.durable
                assert writer.close() == 0
                assert operations(directory) == expected
                writer = Writer(directory, 4096, ring, position=end, durable=durable)
        end = writer.appended
        assert writer.close() == 0
        records, verdict = log_probe.read(directory)
        assert [record[-1] for record in records] == expected
        assert (verdict["found"], verdict["position"]) == ("end", end)
        position = 0
        for at, end, durable, _, data in records:
            assert at == position and durable <= at
            assert end == position + 32 + (len(data) + 7) // 8 * 8
            position = end
    fault_probe.stop()


def with_room(writer: Writer, data: bytes, ring: int) -> None:
    """Appends with no flusher behind: first makes room; a record that is larger than the ring gets one."""
    space = 32 + len(data) + 8
    if writer.appended + space - writer.written > ring:
        writer.step()
    if space <= ring:
        writer.append(data)
        return
    thread = threading.Thread(target=writer.append, args=(data,))
    thread.start()
    while thread.is_alive():
        writer.step()
    thread.join()
    writer.step()


def test_the_bytes_are_those_of_the_documentation(directory: int, tmp_path: Path) -> None:
    writer = Writer(directory, 8192)
    assert writer.append(b"abc", b"defghi", time_ms=1_700_000_000_000) == 48
    writer.step()
    assert writer.append(b"x") == 88
    assert writer.close() == 0
    (path, *rest) = segments(tmp_path)
    assert path.name == "log-0000000000000000" and rest == []
    data = path.read_bytes()
    assert len(data) == HEADER + 8192 and path.stat().st_mode & 0o777 == 0o600
    fields = struct.pack("<QQ16s16x", 0, 8192, log_probe.HISTORY)
    assert data[:HEADER] == (b"KVCYLOG1" + struct.pack("<II", 1, crc32c(fields)) + fields).ljust(HEADER, b"\0")
    for place, durable, time_ms, content in ((0, 0, 1_700_000_000_000, b"abcdefghi"), (48, 48, 0, b"x")):
        rest_of_header = struct.pack("<IQQQ", len(content), place, durable, time_ms)
        crc = crc32c(log_probe.HISTORY + content + rest_of_header)
        record = struct.pack("<I", crc) + rest_of_header + content
        record += bytes(-len(record) % 8)
        assert data[HEADER + place : HEADER + place + len(record)] == record
    assert not any(data[HEADER + 88 :])


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_reading_begins_anywhere(directory: int) -> None:
    expected = fill(directory, [100, 5000, 40, 1, 9000])
    records, _ = log_probe.read(directory)
    for number, record in enumerate(records):
        assert operations(directory, position=record[0]) == expected[number:]
    assert operations(directory, position=records[-1][1]) == []


def test_old_segments_go(directory: int, tmp_path: Path) -> None:
    fill(directory, [1000] * 20)
    records, _ = log_probe.read(directory)
    number = len(segments(tmp_path))
    assert number >= 5
    assert log_probe.remove_before(directory, 2 * 4096 + 4095) == 0
    assert len(segments(tmp_path)) == number - 2
    position = min(record[0] for record in records if record[0] >= 8192)
    assert len(operations(directory, position=position)) == sum(record[0] >= 8192 for record in records)
    assert log_probe.remove_before(directory, 0) == 0
    assert log_probe.read(directory)[1]["reason"] == "a segment is missing"


# --- policies, by a clock that the test moves

SECOND = 10**9


def test_always_syncs_at_once_and_once_for_all(directory: int) -> None:
    writer = Writer(directory, 1 << 16)
    ends = [writer.append(b"x" * 10) for _ in range(10)]
    assert writer.durable == 0
    writer.step()
    assert writer.durable == ends[-1]
    writer.step()
    assert writer.statistics["syncs"] == 1 and writer.statistics["writes"] == 1
    assert writer.statistics["records"] == 10 and writer.statistics["bytes"] == ends[-1]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(("policy", "zeros"), [(log_probe.ALWAYS, 1), (log_probe.EVERYSEC, 0)])
def test_zeros_go_ahead_of_records_that_are_synced_at_once(
    directory: int, policy: int, zeros: int, direct: bool
) -> None:
    """512 KiB at a time, and up to the segment's end."""
    fault_probe.play(direct=direct)
    writer = Writer(directory, 1 << 20, 1 << 20, policy=policy)
    record = filling(4064)  # with its header 4,096
    for number in range(384):
        before = fault_probe.counts()["write"]
        writer.append(record)
        writer.step()
        began = number % 128 == 0
        made = number in (127, 383)  # the next segment, when half of this one is used: its header
        assert fault_probe.counts()["write"] - before == 1 + made + (zeros if began else 0), number
    assert writer.close() == 0
    assert operations(directory, segment_bytes=1 << 20) == [record] * 384


def test_everysec_syncs_every_half_second(directory: int) -> None:
    log_probe.set_clock_ns(100 * SECOND)
    writer = Writer(directory, 1 << 16, policy=log_probe.EVERYSEC)
    first = writer.append(b"first")
    writer.step()
    assert writer.durable == first and writer.unsynced_since_ns == 0
    log_probe.set_clock_ns(100 * SECOND + SECOND // 4)
    second = writer.append(b"second")
    assert writer.step() == SECOND // 4
    assert writer.written == second and writer.durable == first
    assert writer.unsynced_since_ns == 100 * SECOND + SECOND // 4
    log_probe.set_clock_ns(100 * SECOND + SECOND // 2)
    writer.step()
    assert writer.durable == second and writer.statistics["syncs"] == 2 and writer.unsynced_since_ns == 0


def test_no_syncs_only_a_segment_that_is_full_and_the_last(directory: int) -> None:
    writer = Writer(directory, 4096, policy=log_probe.NO)
    for number in range(8):
        writer.append(bytes([number + 1]) * 1000)
        writer.step()
    assert writer.statistics["syncs"] == 2 and 0 < writer.durable <= 8192
    fault_probe.play()
    assert writer.close() == 0
    assert fault_probe.counts()["sync"] == 1
    assert len(operations(directory)) == 8


def test_a_change_of_policy_makes_durable_what_was_waiting(directory: int) -> None:
    writer = Writer(directory, 1 << 16, policy=log_probe.NO)
    end = writer.append(b"x")
    writer.step()
    assert writer.durable == 0
    writer.set_policy(log_probe.EVERYSEC)
    writer.step()
    assert writer.durable == end


# --- waiting

def test_a_long_sync_waits_for_those_whom_the_last_one_let_go(directory: int) -> None:
    writer = Writer(directory, 1 << 16)
    for _ in range(3):
        writer.append(b"x")
    writer.step()
    assert not writer.crowd_is_expected(5000)       # nobody waits
    writer.append(b"x")
    assert writer.crowd_is_expected(5000)
    assert not writer.crowd_is_expected(400)        # for a shorter one, half of them are enough
    assert writer.crowd_is_expected(100)            # for a short one, two thirds
    for _ in range(2):
        writer.append(b"x")
    assert not writer.crowd_is_expected(5000)       # all are back
    for _ in range(2):
        writer.append(b"x")
    writer.step()
    writer.append(b"x")
    assert writer.crowd_is_expected(400)
    writer.append(b"x")
    assert not writer.crowd_is_expected(400)        # of five
    assert writer.crowd_is_expected(100)
    writer.append(b"x")
    assert not writer.crowd_is_expected(100)
    writer.step()
    writer.append(b"x")
    assert writer.crowd_is_expected(5000)
    for _ in range(3):
        writer.step()
        writer.append(b"x")
        assert not writer.crowd_is_expected(5000)   # who is alone is not kept waiting
    assert writer.close() == 0


@pytest.fixture
def usual_policy() -> Iterator[int]:
    """The system's way of running threads, in which this one must be; as it was, afterwards."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        pytest.skip("the tests were started to run in another way")
    yield os.SCHED_OTHER
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def test_where_many_wait_for_short_syncs_the_flusher_pushes_nobody_aside(directory: int, usual_policy: int) -> None:
    log_probe.set_clock_ns(SECOND)
    writer = Writer(directory, 1 << 16)
    for crowd, usual_us, way in [(15, 100, usual_policy), (16, 100, os.SCHED_BATCH), (16, 250, usual_policy)]:
        writer.gather(crowd, usual_us, 100)
        assert os.sched_getscheduler(0) == way
    writer.gather(50, 100, 100)
    assert os.sched_getscheduler(0) == os.SCHED_BATCH
    writer.gather(50, 100, 2001)  # somebody has kept it waiting
    assert os.sched_getscheduler(0) == usual_policy
    log_probe.set_clock_ns(2 * SECOND - 1)
    writer.gather(50, 100, 100)
    assert os.sched_getscheduler(0) == usual_policy
    log_probe.set_clock_ns(2 * SECOND)
    writer.gather(50, 100, 100)
    assert os.sched_getscheduler(0) == os.SCHED_BATCH
    writer.set_policy(log_probe.EVERYSEC)
    writer.gather(50, 100, 100)
    assert os.sched_getscheduler(0) == usual_policy
    writer.set_policy(log_probe.ALWAYS)
    writer.gather(50, 100, 100)
    assert os.sched_getscheduler(0) == os.SCHED_BATCH
    assert writer.close() == 0
    assert os.sched_getscheduler(0) == usual_policy


def test_who_runs_the_flusher_in_another_way_is_not_overruled(directory: int, usual_policy: int) -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    writer = Writer(directory, 1 << 16)
    writer.gather(50, 100, 100)
    writer.gather(1, 100, 100)
    assert writer.close() == 0
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


@pytest.mark.parametrize("policy", [log_probe.ALWAYS, log_probe.EVERYSEC, log_probe.NO])
def test_waiting_makes_durable(directory: int, policy: int) -> None:
    writer = Writer(directory, policy=policy, real_clock=True)
    with flushing(writer):
        for size in (1, 1000, 10_000, 5):
            end = writer.append(filling(size))
            assert writer.wait(end)
            assert writer.durable == end
    assert writer.close() == 0


def test_a_subscriber_is_woken_when_it_asked(directory: int) -> None:
    event = os.eventfd(0, os.EFD_NONBLOCK)
    writer = Writer(directory, 1 << 16)
    writer.subscribe(event)
    first, second = writer.append(b"1"), writer.append(b"2")
    writer.step()
    with pytest.raises(BlockingIOError):
        os.eventfd_read(event)
    assert writer.want(first) and writer.want(second)
    third = writer.append(b"3")
    assert not writer.want(third)
    writer.step()
    assert os.eventfd_read(event) == 1
    writer.append(b"4")
    writer.step()
    with pytest.raises(BlockingIOError):
        os.eventfd_read(event)
    writer.unsubscribe()
    os.close(event)


def test_a_subscriber_is_woken_when_the_log_breaks(directory: int) -> None:
    event = os.eventfd(0, os.EFD_NONBLOCK)
    writer = Writer(directory, 1 << 16)
    writer.subscribe(event)
    end = writer.append(b"1")
    assert not writer.want(end)
    fault_probe.play("sync", first=1, error=errno.EIO)
    writer.step()
    assert os.eventfd_read(event) == 1
    assert writer.want(end) and writer.durable == 0 and writer.state == log_probe.BROKEN
    writer.unsubscribe()
    os.close(event)


# --- threads

@pytest.mark.parametrize("policy", [log_probe.ALWAYS, log_probe.EVERYSEC, log_probe.NO])
@pytest.mark.parametrize("prepare", [True, False], ids=["two", "one"])
def test_several_threads_append(directory: int, policy: int, prepare: bool) -> None:
    """Each thread's records are all there, whole and in its order."""
    count, threads = 3000, 4
    fault_probe.play()
    writer = Writer(directory, 1 << 16, 1 << 13, policy=policy, real_clock=True)
    with flushing(writer, prepare):
        appending = [threading.Thread(target=writer.append_numbered, args=(i, count, 300)) for i in range(threads)]
        for thread in appending:
            thread.start()
        for thread in appending:
            thread.join()
        assert writer.wait(writer.appended)
    assert writer.close() == 0
    seen = [0] * threads
    for data in operations(directory, segment_bytes=1 << 16):
        thread, number = struct.unpack_from("<II", data)
        assert number == seen[thread]
        assert data[8:] == bytes([thread]) * ((number * 37 + thread * 11) % 293)
        seen[thread] += 1
    assert seen == [count] * threads
