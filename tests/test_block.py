"""engine/block.pyx: reference-counted blocks of bytes."""

from __future__ import annotations

import random

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import block_probe
from probes.block_probe import BlockProbe

SIZES = [0, 1, 8, 100, 4096, 262_119, 262_120, 262_121, 1 << 20, 5_000_001]


@pytest.mark.parametrize("capacity", SIZES)
def test_new_and_release(capacity: int) -> None:
    before = block_probe.bytes_total()
    block = BlockProbe(capacity)
    assert block.references == 1 and block.content == b""
    assert capacity <= block.capacity < capacity + 4096 + 8
    assert block_probe.bytes_total() == before + block.capacity + 24
    block.append(b"x" * capacity)
    assert block.content == b"x" * capacity
    block.release()
    assert block_probe.bytes_total() == before


@pytest.mark.parametrize("first", SIZES)
@pytest.mark.parametrize("second", SIZES)
def test_reserve_keeps_the_content(first: int, second: int) -> None:
    before = block_probe.bytes_total()
    content = bytes(i % 251 for i in range(min(first, 20_000)))
    block = BlockProbe(first)
    block.append(content)
    assert block.reserve(second)
    assert block.content == content and block.capacity >= max(first, second)
    block.append(b"y" * (block.capacity - len(content)))
    assert block.content[: len(content)] == content
    assert block_probe.bytes_total() == before + block.capacity + 24
    block.release()
    assert block_probe.bytes_total() == before


def test_shared() -> None:
    before = block_probe.bytes_total()
    block = BlockProbe(10)
    block.append(b"abc")
    other = block.share()
    assert block.references == 2
    block.release()
    assert other.references == 1 and other.content == b"abc"
    other.release()
    assert block_probe.bytes_total() == before


@pytest.mark.parametrize("capacity", [(1 << 64) - 1, (1 << 64) - 24, 1 << 63])
def test_absurd_sizes(capacity: int) -> None:
    assert not BlockProbe(capacity)
    block = BlockProbe(10)
    block.append(b"abc")
    assert not block.reserve(capacity)
    assert block.content == b"abc"


@pytest.mark.parametrize("first", [10, 1 << 20])
@pytest.mark.parametrize("second", [1000, 1 << 21])
def test_no_memory(first: int, second: int) -> None:
    block = BlockProbe(first)
    block.append(b"abc")
    total = block_probe.bytes_total()
    block_probe.fail_after(0)
    try:
        assert not BlockProbe(first)
        assert block.reserve(second) == (second <= first)
        assert block.content == b"abc" and block_probe.bytes_total() == total
    finally:
        block_probe.fail_never()
    assert block.reserve(second) and block.content == b"abc"


# --- the heap of slabs: blocks of 1 KiB to 256 KiB

HEAP_SIZES = [1100, 2048, 5000, 16_000, 32_000, 40_000, 100_000, 200_000]


def live_bytes(blocks: list[BlockProbe]) -> int:
    return sum(block.capacity + 24 for block in blocks)


def compact(blocks: list[BlockProbe]) -> None:
    """What upkeep does, until there is nothing to do."""
    while block_probe.plan():
        for block in blocks:
            block.move()
        block_probe.settle()


@pytest.mark.parametrize("size", HEAP_SIZES)
@pytest.mark.parametrize("stay", [0.1, 0.2, 0.55, 0.8])
def test_what_stays_is_moved_together(size: int, stay: float) -> None:
    source = random.Random(size)
    before = block_probe.slack()
    blocks = []
    for i in range(20_000_000 // size):
        blocks.append(BlockProbe(size))
        blocks[-1].append(b"%d" % i * 20)
    gone = source.sample(range(len(blocks)), round(len(blocks) * (1 - stay)))
    for i in gone:
        blocks[i].release()
    kept = [i for i in range(len(blocks)) if i not in set(gone)]
    blocks = [blocks[i] for i in kept]
    compact(blocks)
    assert block_probe.slack() - before <= max(live_bytes(blocks) // 48, 524_288)
    assert [block.content for block in blocks] == [b"%d" % i * 20 for i in kept]
    for block in blocks:
        block.release()
    compact([])
    assert block_probe.slack() - before <= 524_288


def test_what_others_refer_to_stays_where_it_is() -> None:
    blocks = [BlockProbe(3000) for _ in range(4000)]
    others = [block.share() for block in blocks[::10]]
    places = [other.address for other in others]
    for i, block in enumerate(blocks):
        if i % 10:
            block.release()
    assert block_probe.plan()
    assert not any(block.move() for block in blocks[::10])
    block_probe.settle()
    assert [other.address for other in others] == places
    assert not block_probe.plan(), "it would achieve nothing again"
    for block in blocks[::10] + others:
        block.release()
    compact([])


@settings(max_examples=examples(60), deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("nnnfrps"), st.integers(0, 300_000)), max_size=120))
def test_cells_never_overlap(steps: list[tuple[str, int]]) -> None:
    blocks: list[tuple[BlockProbe, int]] = []
    before = block_probe.bytes_total()
    planned = False
    for mark, (step, number) in enumerate(steps):
        if step == "n":
            blocks.append((BlockProbe(number), mark))
            blocks[-1][0].append(bytes([mark % 251]) * number)
        elif step == "f" and blocks:
            blocks.pop(number % len(blocks))[0].release()
        elif step == "r" and blocks:
            assert blocks[number % len(blocks)][0].reserve(number)
        elif step == "p" and not planned:
            planned = block_probe.plan()
        elif step == "s" and planned:
            for block, _ in blocks:
                block.move()
            block_probe.settle()
            planned = False
        spans = sorted((block.address, block.address + block.capacity + 24) for block, _ in blocks)
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    if planned:
        block_probe.settle()
    for block, mark in blocks:
        assert set(block.content) <= {mark % 251}
        block.release()
    assert block_probe.bytes_total() == before


def test_one_value_set_and_deleted_calls_for_one_slab() -> None:
    """The memory stays for the next one, so the system is not called each time."""
    block = BlockProbe(5000)
    address = block.address
    for _ in range(10):
        block.release()
        block = BlockProbe(5000)
        assert block.address == address
    block.release()


def test_no_memory_for_a_slab() -> None:
    block_probe.fail_after(1)
    try:
        blocks = [BlockProbe(30_000) for _ in range(20)]
    finally:
        block_probe.fail_never()
    assert not all(blocks)
    for block in blocks:
        block.release()
