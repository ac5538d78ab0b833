"""Operations, replay and snapshots: what goes in comes out, while others write too, and damage is always noticed.

`KVCY_SNAPSHOT_FLIP_BYTES=65536 python -m pytest tests/test_snapshot.py -k bit` flips every bit of two of that size.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.durable_probe import Durable, Loaded, Refused, Writer
from probes.operations_probe import decode, encode

HEADER, BLOCK_HEADER, FOOTER = 128, 48, 64
DAMAGED, UNKNOWN, MISFIT = 1, 2, 3
FLIP_BYTES = int(os.environ.get("KVCY_SNAPSHOT_FLIP_BYTES", "0"))  # 0: of a snapshot of a few keys

names = st.one_of(st.binary(max_size=6), st.sampled_from([b"", b"k" * 1025, b"k" * 20_000]))
values = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda size, byte: bytes([byte]) * size, st.sampled_from([127, 128, 2049, 20_000, 300_000]), st.integers(0, 255)
    ),
)
databases = st.sampled_from([0, 1, 2, 15])
times = st.sampled_from([1, 999, 10**13, 2**63 - 1])
operations = st.one_of(
    st.tuples(st.just("put"), databases, names, st.one_of(st.just(0), times), st.booleans(), values),
    st.tuples(st.just("delete"), databases, names),
    st.tuples(st.just("expire"), databases, names, st.one_of(st.just(0), times)),
    st.tuples(st.just("splice"), databases, names, st.sampled_from([0, 3, 5000]), values),
    st.tuples(st.just("flush"), st.sampled_from([-1, 0, 1, 15])),
    st.tuples(st.just("swap"), databases, databases),
)
some = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


class Disk:
    """Snapshot files of one test, in memory."""

    def __init__(self) -> None:
        self.open: list[int] = []

    def new(self) -> int:
        self.open.append(os.memfd_create("snapshot"))
        return self.open[-1]

    def again(self, flags: int) -> int:
        """The newest file, opened once more."""
        self.open.append(os.open(f"/proc/self/fd/{self.open[-1]}", flags))
        return self.open[-1]

    def content(self) -> bytes:
        return os.pread(self.open[-1], 1 << 30, 0)


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    for file in made.open:
        os.close(file)


def loaded_from(file: int, shards: int = 4) -> tuple[Loaded, Durable]:
    snapshot = Loaded(file)
    target = Durable(shards)
    assert snapshot.load(target), snapshot.fault
    return snapshot, target


# --- operations


@given(st.lists(operations, max_size=8))
@some
def test_operations_come_back_as_they_were(written: list[tuple[Any, ...]]) -> None:
    assert decode(encode(written)) == written


@given(st.lists(operations, min_size=1, max_size=3))
@some
def test_an_operation_cut_short_is_malformed(written: list[tuple[Any, ...]]) -> None:
    data = encode(written)
    starts = {len(encode(written[:count])): count for count in range(len(written) + 1)}
    for size in {*range(min(len(data), 300)), len(data) - 1}:
        assert decode(data[:size]) == (written[: starts[size]] if size in starts else None)


@given(st.binary(max_size=60))
@some
def test_any_bytes_decode_or_do_not(data: bytes) -> None:
    found = decode(data)
    assert found is None or encode(found) == data  # one encoding for each operation


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",  # no such kind
        b"\x07\x00",
        b"\x02\x10\x01k",  # no such database
        b"\x02\xff\x01k",  # all of them, for a key
        b"\x06\x00\x10",
        b"\x06\xff\x00",
        b"\x01\x00\x06\x00\x01\x01kv",  # no such type
        b"\x01\x00\x00\x04\x01\x01kv",  # no such flag
        b"\x01\x00\x00\x01" + bytes(8) + b"\x01\x01kv",  # expires, at no time
        b"\x01\x00\x00\x01" + b"\xff" * 8 + b"\x01\x01kv",  # before the beginning of time
        b"\x02\x00\x81\x00k",  # a needless byte in a length
        b"\x02\x00" + b"\xff" * 9 + b"\x01",  # longer than there can be
        b"\x02\x00" + b"\xff" * 9 + b"\x02",  # more than 64 bits
        b"\x02\x00\x81\x80\x80\x80\x02k",  # a key of 512 MB and a byte
        b"\x04\x00\x80\x80\x80\x80\x02\x01\x01kv",  # ends behind 512 MB
    ],
)
def test_malformed_operations_are_refused(data: bytes) -> None:
    assert decode(data) is None
    with pytest.raises(Refused, match="holds no operations"):
        Durable().replay([(0, data)])


def test_an_empty_record_and_an_unknown_type_are_refused() -> None:
    with pytest.raises(Refused, match="holds no operations"):
        Durable().replay([(0, b"")])
    with pytest.raises(Refused, match="type"):
        Durable().replay([(0, b"\x01\x00\x04\x00\x01\x01kv")])


# --- replay


@given(st.lists(operations, max_size=40), st.integers(1, 3))
@some
def test_replay_ends_where_the_operations_ended(done: list[tuple[Any, ...]], parts: int) -> None:
    source, target = Durable(), Durable()
    for operation in done:
        source.run(*plain(operation))
    target.replay(source.log, parts=parts)
    assert target.contents() == source.contents()


def plain(operation: tuple[Any, ...]) -> tuple[Any, ...]:
    """What `Durable.run` can do: a put from outside is never edited."""
    return (*operation[:4], False, operation[5]) if operation[0] == "put" else operation


def test_a_record_applies_edited_values_and_what_has_expired() -> None:
    target = Durable()
    target.replay(
        [
            (
                0,
                encode(
                    [
                        ("put", 3, b"k", 1, True, b"v"),
                        ("put", 3, b"gone", 0, False, b"v"),
                        ("delete", 3, b"gone"),
                        ("delete", 3, b"never"),
                    ]
                ),
            )
        ]
    )
    assert target.contents()[3] == {b"k": (b"v", 1, True)}
    target.replay([(0, encode([("splice", 3, b"k", 1, b"w"), ("expire", 3, b"k", 2)]))])
    assert target.contents()[3] == {b"k": (b"vw", 2, True)}


# --- snapshots


@given(st.lists(operations, max_size=40), st.sampled_from([1, 4]), st.booleans())
@some
def test_a_snapshot_comes_back_as_it_was(done: list[tuple[Any, ...]], shards: int, quiet: bool) -> None:
    source = Durable(shards)
    for operation in done:
        source.run(*plain(operation))
    edited = [(source.position, encode([("put", 1, b"edited", 7, True, b"x" * 3000)]))]
    source.replay(edited)
    file = os.memfd_create("snapshot")
    with open(file, "w+b"):
        assert source.save(file, quiet) == 0
        snapshot, target = loaded_from(file, shards)
        contents = source.contents()
        assert target.contents() == contents
        assert snapshot.keys == sum(len(keys) for keys in contents)
        assert snapshot.begin == source.position


def test_blocks_are_cut_and_cover_all_bits(disk: Disk) -> None:
    source = Durable(2)
    source.fill(0, 30_000)
    source.run("put", 9, b"large", 0, False, b"v" * 1_000_000)
    for quiet in (True, False):
        source.reset_progress()
        assert source.save(disk.new(), quiet, sync_bytes=100_000) == 0
        snapshot, target = loaded_from(disk.open[-1], 2)
        assert target.contents() == source.contents()
        extents = snapshot.extents()
        assert sum(extent[5] for extent in extents) == 30_001
        of_shard = [extent for extent in extents if extent[:2] == (1, 0)]
        assert len(of_shard) > 2
        assert of_shard[0][2] == 0
        assert of_shard[-1][3] == 2**32 - 1
        assert source.saved()["keys"] == 30_001
        assert source.saved()["bytes"] == os.fstat(disk.open[-1]).st_size


def test_entries_of_all_kinds_among_each_other(disk: Disk) -> None:
    source = Durable(2)
    for number in range(20_000):
        size = (number * 37) % (3000 if number % 50 == 0 else 300)
        expire_ms = 10**13 + number if number % 7 == 0 else 0
        source.run("put", number % 3, b"key %d" % number, expire_ms, number % 11 == 0, b"v" * size)
    assert source.save(disk.new()) == 0
    _, target = loaded_from(disk.open[-1], 2)
    assert target.contents() == source.contents()
    for number in range(20_000):
        target.run("delete", number % 3, b"key %d" % number)
    assert all(not keys for keys in target.contents())
    target.fill(0, 1000)


def test_what_a_thread_loads_another_need_not(disk: Disk) -> None:
    source, target = Durable(64), Durable(64)
    source.fill(0, 20_000)
    assert source.save(disk.new()) == 0
    snapshot = Loaded(disk.open[-1])
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(snapshot.load(target))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 3
    assert target.contents() == source.contents()


def test_a_stopped_snapshot_says_so(disk: Disk) -> None:
    source = Durable()
    source.stop()
    assert source.save(disk.new()) == -125  # ECANCELED
    assert Loaded(disk.open[-1]).fault is not None


def test_a_write_that_fails_is_reported(disk: Disk) -> None:
    source = Durable()
    source.fill(0, 1000)
    disk.new()
    assert source.save(disk.again(os.O_RDONLY)) == -9  # EBADF
    full = os.open("/dev/full", os.O_RDWR)
    disk.open.append(full)
    assert source.save(full) == -28  # ENOSPC


# --- snapshots of what changes


@pytest.mark.parametrize(("databases_used", "reshapes"), [(1, 0), (3, 0), (3, 2000)])
@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_and_the_log_on_top_make_the_final_state(
    disk: Disk, seed: int, databases_used: int, reshapes: int
) -> None:
    shards = 1 if seed == 0 else 4
    source = Durable(shards)
    first = Writer(source, seed, 8000, databases_used)
    first.do(8000)
    earlier = first.take()
    begin = source.position
    # Many more than there is time for: it writes from before the snapshot begins until after its end.
    writer = Writer(source, seed + 100, 2_000_000, databases_used, reshapes)
    writer.start()
    assert source.save(disk.new(), quiet=False, begin=begin) == 0
    records = writer.join()
    snapshot, target = loaded_from(disk.open[-1], shards)
    assert begin == snapshot.begin < snapshot.greatest <= source.position
    target.replay(earlier + records, snapshot, parts=2)
    assert target.contents() == source.contents()


@pytest.mark.parametrize("kind", ["swap", "flush"])
def test_coverage_decides_by_block_and_by_shard(disk: Disk, kind: str) -> None:
    """Blocks at different positions: what each knows already is not applied again."""
    source = Durable(2)
    source.fill(0, 10)
    keys = [b"key:%012d" % number for number in range(10)]
    in_shard = {shard: [key for key in keys if source.shard_of(key) == shard] for shard in (0, 1)}
    assert all(in_shard.values())
    source.run("put", 0, in_shard[1][0], 0, False, b"late")  # shard 1 stands at a later position than shard 0
    late = source.position
    assert source.save(disk.new(), quiet=False, begin=0) == 0
    snapshot, target = loaded_from(disk.open[-1], 2)
    assert {extent[0]: extent[4] for extent in snapshot.extents()} == {0: 0, 1: late}
    change = encode([(kind, 0, 1) if kind == "swap" else (kind, 0)])
    assert target.replay([(0, change)], snapshot) == (1, 0)
    left = target.contents()
    assert set(left[0]) == set(in_shard[1])
    assert set(left[1]) == (set(in_shard[0]) if kind == "swap" else set())
    # A key of the shard that is known at the later position, before and at it; one of a database without a block.
    old = encode([("put", 0, in_shard[1][0], 0, False, b"old")])
    assert target.replay([(0, old), (late - 8, old)], snapshot) == (0, 2)
    assert target.replay([(late, old)], snapshot) == (1, 0)
    assert target.replay([(late - 8, encode([("delete", 7, in_shard[1][0])]))], snapshot) == (0, 1)


# --- damage


def small_snapshot(disk: Disk, quiet: bool = True, keys: int = 6, begin: int = 0) -> bytes:
    source = Durable(2)
    for number in range(keys):
        source.run("put", number % 2, b"k%d" % number, number, False, b"value %d" % number * (1 + number % 8))
    assert source.save(disk.new(), quiet, begin=begin) == 0
    return disk.content()


def fault_of(disk: Disk, data: bytes) -> tuple[int, int, str] | None:
    os.ftruncate(disk.open[-1], 0)
    os.pwrite(disk.open[-1], data, 0)
    return fault_found(disk)


def fault_found(disk: Disk) -> tuple[int, int, str] | None:
    """In the newest file."""
    snapshot = Loaded(disk.open[-1])
    snapshot.load(None)
    fault: tuple[int, int, str] | None = snapshot.fault
    return fault


@pytest.mark.parametrize("quiet", [True, False])
def test_every_flipped_bit_is_noticed(disk: Disk, quiet: bool) -> None:
    whole = small_snapshot(disk, quiet, keys=max(6, FLIP_BYTES // 48))
    assert len(whole) >= FLIP_BYTES
    for place, byte in enumerate(whole):
        for bit in range(8):
            os.pwrite(disk.open[-1], bytes([byte ^ 1 << bit]), place)
            fault = fault_found(disk)
            assert fault is not None, f"bit {bit} of byte {place}"
            assert fault[0] == (UNKNOWN if 8 <= place < 12 else DAMAGED)
            assert fault[1] <= place + 16
        os.pwrite(disk.open[-1], bytes([byte]), place)
    assert fault_found(disk) is None


def test_every_truncation_and_addition_is_noticed(disk: Disk) -> None:
    whole = small_snapshot(disk)
    for size in range(len(whole)):
        fault = fault_of(disk, whole[:size])
        assert fault is not None
        assert fault[0] == DAMAGED
    assert fault_of(disk, whole + b"\x00") is not None


def blocks_of(data: bytes) -> list[tuple[int, int]]:
    """(offset, end) of each block, the footer excluded."""
    found, offset = [], HEADER
    while offset < len(data) - FOOTER:
        (size,) = struct.unpack_from("<Q", data, offset + 8)
        found.append((offset, offset + BLOCK_HEADER + size))
        offset = found[-1][1]
    return found


def test_blocks_that_are_missing_doubled_or_exchanged_are_noticed(disk: Disk) -> None:
    whole = small_snapshot(disk)
    blocks = blocks_of(whole)
    assert len(blocks) == 4
    for start, end in blocks:
        assert fault_of(disk, whole[:start] + whole[end:]) is not None
        assert fault_of(disk, whole[:end] + whole[start:end] + whole[end:]) is not None
    for (start, middle), (_, end) in zip(blocks, blocks[1:], strict=False):
        exchanged = whole[:start] + whole[middle:end] + whole[start:middle] + whole[end:]
        assert fault_of(disk, exchanged) is not None


def test_a_block_of_another_snapshot_is_noticed(disk: Disk) -> None:
    first = small_snapshot(disk)
    start, end = blocks_of(first)[0]
    other = small_snapshot(disk, begin=8)
    assert fault_of(disk, other) is None
    mixed = other[:start] + first[start:end] + other[end:]
    assert fault_of(disk, mixed) == (DAMAGED, start, "the checksum of a block's header is wrong")


def test_a_snapshot_of_other_shards_is_refused(disk: Disk) -> None:
    small_snapshot(disk)
    snapshot = Loaded(disk.open[-1])
    assert not snapshot.load(Durable(4))
    assert snapshot.fault == (MISFIT, 48, "the snapshot is of a keyspace with another number of shards")


def test_a_disk_that_cannot_be_read_is_no_damage(disk: Disk) -> None:
    small_snapshot(disk)
    assert Loaded(disk.again(os.O_WRONLY)).fault == (-9, 0, "reading failed")
