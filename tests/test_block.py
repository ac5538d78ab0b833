"""engine/block.pyx: reference-counted blocks of bytes."""

from __future__ import annotations

import pytest

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
