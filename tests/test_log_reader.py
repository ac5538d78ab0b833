"""Where the log ends, and what that means: torn tails, damage, every truncation, every flipped bit.

`KVCY_LOG_FLIP_BYTES=65536 python -m pytest tests/test_log_reader.py -k bit` flips every bit of a log of that size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from log_files import HEADER, fill, filling, opened, segments

from probes import fault_probe, files_probe, log_probe
from probes.log_probe import HISTORY, Writer

FLIP_BYTES = int(os.environ.get("KVCY_LOG_FLIP_BYTES", "3000"))
SEGMENT = 4096


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fault_probe.play()          # no real syncs
    with opened(tmp_path) as descriptor:
        yield descriptor
    fault_probe.stop()


def change(path: Path, place: int, data: bytes) -> None:
    """Writes into a segment's payload."""
    with path.open("r+b") as file:
        file.seek(HEADER + place)
        file.write(data)


def contents(
    directory: int, segment_bytes: int = SEGMENT, position: int = 0
) -> tuple[list[bytes], dict[str, Any]]:
    records, verdict = log_probe.read(directory, segment_bytes, position)
    return [record[-1] for record in records], verdict


def space(data: bytes) -> int:
    return 32 + (len(data) + 7) // 8 * 8


# --- ends that are no damage

def test_an_empty_directory(directory: int) -> None:
    assert contents(directory) == (
        [],
        {
            "found": "end", "error": 0, "position": 0, "segment": 0, "offset": HEADER, "reason": "the segment ends",
            "durable": 0,
        },
    )


def test_a_log_that_ends_with_its_segment(directory: int) -> None:
    expected = fill(directory, [SEGMENT - 32])
    found, verdict = contents(directory)
    assert found == expected and (verdict["found"], verdict["position"]) == ("end", SEGMENT)


def test_a_batch_that_was_torn(directory: int, tmp_path: Path) -> None:
    """Three records synced at once, of which the disk has the last: nothing was promised."""
    writer = Writer(directory, SEGMENT)
    writer.append(b"durable")
    writer.step()
    batch = [writer.append(filling(100)) for _ in range(3)]
    writer.step()
    writer.close()
    (path,) = segments(tmp_path)
    change(path, 40, bytes(132))
    found, verdict = contents(directory)
    assert found == [b"durable"]
    assert (verdict["found"], verdict["position"], verdict["offset"]) == ("torn", 40, HEADER + 40)
    writer = Writer(directory, SEGMENT, position=40, erase=True)
    assert not any(path.read_bytes()[HEADER + 40 :])
    end = writer.append(b"instead")
    assert end < batch[0] and writer.close() == 0
    assert contents(directory)[0] == [b"durable", b"instead"]


@pytest.mark.parametrize("lost", [SEGMENT + 8, 2 * SEGMENT + 8, 3 * SEGMENT + 8])
def test_a_record_over_several_segments_that_was_torn(directory: int, tmp_path: Path, lost: int) -> None:
    """The segments it reaches into are in use, and yet nothing is damaged."""
    (first, _) = fill(directory, [1000, 3 * SEGMENT])
    change(segments(tmp_path)[lost // SEGMENT], lost % SEGMENT, bytes(16))
    found, verdict = contents(directory)
    assert found == [first]
    assert (verdict["found"], verdict["position"]) == ("torn", space(first))
    writer = Writer(directory, SEGMENT, position=verdict["position"], durable=verdict["durable"], erase=True)
    assert len(segments(tmp_path)) == 1
    writer.append(b"new")
    assert writer.close() == 0
    found, verdict = contents(directory)
    assert found == [first, b"new"] and verdict["found"] == "end"


def test_a_header_over_two_segments_that_was_torn(directory: int, tmp_path: Path) -> None:
    (first, _) = fill(directory, [SEGMENT - 32 - 16, 100])
    change(segments(tmp_path)[1], 0, bytes(16))
    found, verdict = contents(directory)
    assert found == [first]
    assert (verdict["found"], verdict["position"]) == ("torn", SEGMENT - 16)


# --- damage

def test_a_lost_record_that_a_later_one_calls_durable(directory: int, tmp_path: Path) -> None:
    expected = fill(directory, [100, 200, 300])
    change(segments(tmp_path)[0], space(expected[0]), bytes(space(expected[1])))
    found, verdict = contents(directory)
    assert found == expected[:1]
    assert verdict["found"] == "damaged" and verdict["reason"] == "a record behind calls this place durable"
    assert verdict["position"] == space(expected[0])


def test_a_lost_end_of_a_segment_when_a_later_one_is_in_use(directory: int, tmp_path: Path) -> None:
    fill(directory, [1000] * 6)
    records, _ = log_probe.read(directory)
    last = max(record[0] for record in records if record[1] <= SEGMENT)
    change(segments(tmp_path)[0], last, bytes(SEGMENT - last))
    segments(tmp_path)[1].write_bytes(segments(tmp_path)[1].read_bytes()[:HEADER] + b"\1" + bytes(SEGMENT - 1))
    found, verdict = contents(directory)
    assert verdict["position"] == last and len(found) == last // 1032
    assert verdict["found"] == "damaged" and verdict["reason"] == "a later segment is in use"


@pytest.mark.parametrize(
    "number, place, found",
    [(0, None, "end"), (0, 50_000, "torn"), (0, 65_535, "torn"), (1, 0, "damaged"), (1, 30_000, "damaged"),
     (1, 65_535, "damaged")],
)  # fmt: skip
def test_a_hole_hides_nothing(directory: int, tmp_path: Path, number: int, place: int | None, found: str) -> None:
    """Two segments that are holes behind the second record, and a byte that is not zero in one of them."""
    fill(directory, [1000] * 65, segment_bytes=1 << 16)
    for path, size in zip(segments(tmp_path), (2064, 0), strict=True):
        os.truncate(path, HEADER + size)
        os.truncate(path, HEADER + (1 << 16))
    if place is not None:
        change(segments(tmp_path)[number], place, b"x")
    records, verdict = contents(directory, 1 << 16)
    assert (len(records), verdict["position"], verdict["found"]) == (2, 2064, found)


def test_a_missing_segment(directory: int, tmp_path: Path) -> None:
    fill(directory, [1000] * 12)
    segments(tmp_path)[1].unlink()
    found, verdict = contents(directory)
    assert len(found) == 3 and verdict["found"] == "damaged" and verdict["reason"] == "a segment is missing"


HEADERS = [
    (0, b"X", "not a log segment"),
    (8, b"\2", "a segment of another version of the format"),
    (12, b"XXXX", "the segment's header does not match its checksum"),
    (63, b"X", "the segment's header does not match its checksum"),
    (64, b"X", "the segment's header has something behind it"),
    (4095, b"X", "the segment's header has something behind it"),
]


@pytest.mark.parametrize("place, data, reason", HEADERS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wrong_header(directory: int, tmp_path: Path, number: int, place: int, data: bytes, reason: str) -> None:
    fill(directory, [1000] * 7)          # the third segment is made ahead, and empty
    assert len(segments(tmp_path)) == 3
    change(segments(tmp_path)[number], place - HEADER, data)
    found, verdict = contents(directory)
    assert len(found) == (0, 3, 7)[number]
    assert (verdict["found"], verdict["reason"], verdict["segment"], verdict["offset"]) == (
        "damaged", reason, number, 0)


def test_segments_of_others(directory: int, tmp_path: Path) -> None:
    fill(directory, [1000] * 7)
    assert log_probe.read(directory, history=b"x" * 16)[1]["reason"] == "a segment of another history"
    assert log_probe.read(directory, 8192)[1]["reason"] == "a segment of another size"
    one, two, three = segments(tmp_path)
    two.write_bytes(one.read_bytes())
    assert contents(directory)[1]["reason"] == "a segment under another's name"


@pytest.mark.parametrize("history, found", [(HISTORY, "damaged"), (b"0123456789abcdeF", "torn")])
def test_a_value_that_looks_like_a_record(directory: int, tmp_path: Path, history: bytes, found: str) -> None:
    """Bytes in a torn record that would be a record but for the history, which clients do not know."""
    rest = struct.pack("<IQQQ", 8, 128, 128, 0)
    crc = files_probe.checksum(history + b"contents" + rest)
    fake = struct.pack("<I", crc) + rest + b"contents"
    writer = Writer(directory, SEGMENT)
    writer.append(filling(96) + fake + filling(100))
    assert writer.close() == 0
    change(segments(tmp_path)[0], 32, b"\0")
    assert contents(directory)[1]["found"] == found


def test_reading_that_fails(directory: int) -> None:
    fill(directory, [1000] * 7)
    for number in range(1, 5):
        fault_probe.play("read", first=number, error=5)
        found, verdict = contents(directory)
        assert verdict["found"] == "failed" and verdict["error"] == 5 and len(found) <= 7
    fault_probe.play(shortened=True, interrupted=True)
    assert len(contents(directory)[0]) == 7


# --- every truncation and every bit

def test_every_truncation_recovers_an_exact_prefix(directory: int, tmp_path: Path) -> None:
    expected = fill(directory, [1, 500, 8, 3800, 100, 31, 32, 33, 700])
    ends = [record[0] + 32 + len(record[-1]) for record in log_probe.read(directory)[0]]
    path = segments(tmp_path)[1]
    whole = path.read_bytes()
    assert len(segments(tmp_path)) == 2 and SEGMENT < ends[-1] < 2 * SEGMENT
    for length in range(len(whole) - 1, -1, -1):
        os.truncate(path, length)
        found, verdict = contents(directory)
        count = sum(end <= SEGMENT + max(length - HEADER, 0) for end in ends)
        assert found == expected[:count], length
        # The last 16 bytes of the header are zeros, as is what is missing.
        assert verdict["found"] == ("torn" if length >= 48 else "damaged"), (length, verdict)
        if length % 331 == 0 and length >= 48:
            repaired_goes_on(directory, path, found, verdict)
    path.write_bytes(whole)
    os.truncate(segments(tmp_path)[0], HEADER + 600)
    found, verdict = contents(directory)
    assert found == expected[:2] and verdict["found"] == "damaged"


def repaired_goes_on(directory: int, path: Path, kept: list[bytes], verdict: dict[str, Any]) -> None:
    """The log opened at the torn place is whole again; then everything is put back as it was."""
    before = {each: each.read_bytes() for each in segments(path.parent)}
    writer = Writer(directory, SEGMENT, position=verdict["position"], durable=verdict["durable"], erase=True)
    writer.append(b"new")
    assert writer.close() == 0
    found, after = contents(directory)
    assert found == [*kept, b"new"] and after["found"] == "end"
    assert all(each.stat().st_size == HEADER + SEGMENT for each in segments(path.parent))
    for each in segments(path.parent):
        each.unlink()
    for each, data in before.items():
        each.write_bytes(data)


def test_every_flipped_bit_is_noticed(directory: int, tmp_path: Path) -> None:
    """Never a wrong record, never a clean end. The log is read from the segment before the one with the bit; with some
    bits of each from its beginning as well, which must make no difference."""
    expected = fill(directory, [7, 100, 1, 350, 64, 900] * (FLIP_BYTES // 1600 + 1), SEGMENT)
    used = sum(space(data) for data in expected)
    assert used >= FLIP_BYTES
    starts = [record[0] for record in log_probe.read(directory)[0]]
    for number, path in enumerate(segments(tmp_path)):
        end = min(used - number * SEGMENT, SEGMENT)
        # All of what is used; one bit of each eighth byte where there are zeros.
        places = [(place, bit) for place in range(64) for bit in range(8)]
        places += [(place, place // 8 % 8) for place in range(64, HEADER, 64)]
        places += [(HEADER + place, bit) for place in range(max(end, 0)) for bit in range(8)]
        places += [(HEADER + place, place // 8 % 8) for place in range(max(end, 0), SEGMENT, 8)]
        before = max(sum(start <= (number - 1) * SEGMENT for start in starts) - 1, 0)  # the record to begin with
        data = bytearray(path.read_bytes())
        with path.open("r+b", buffering=0) as file:
            for place, bit in places:
                os.pwrite(file.fileno(), bytes([data[place] ^ 1 << bit]), place)
                found, verdict = contents(directory, position=starts[before])
                assert found == expected[before : before + len(found)], (number, place, bit)
                assert verdict["found"] in ("torn", "damaged"), (number, place, bit, verdict)
                if place % 256 == 0:
                    assert contents(directory) == (expected[:before] + found, verdict)
                os.pwrite(file.fileno(), bytes([data[place]]), place)
    assert contents(directory)[1]["found"] == "end"
