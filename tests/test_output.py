"""Sending replies with blocks in between, in whatever pieces the kernel takes them."""

from __future__ import annotations

import random
import socket

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcy.server.limits import ClientLimits
from probes.output_probe import TURN_BYTES, OutputProbe, blocks_bytes

Part = tuple[bool, int]  # whether it is a block, and its size
PARTS = st.lists(st.tuples(st.booleans(), st.integers(1, 40_000)), min_size=1, max_size=30)


def write(output: OutputProbe, parts: list[Part], seed: int) -> bytes:
    """Writes these parts into the reply; the bytes that must come out."""
    noise = random.Random(seed)
    expected = b""
    for is_block, size in parts:
        data = noise.randbytes(size)
        if is_block:
            start = noise.randrange(size)
            output.write_block(data, start, size - start)
            expected += data[start:]
        else:
            output.write(data)
            expected += data
    return expected


@settings(deadline=None, max_examples=examples(60))
@given(parts=PARTS, more=st.lists(PARTS, max_size=4), seed=st.integers(0, 1000))
def test_everything_arrives_in_order(parts: list[Part], more: list[list[Part]], seed: int) -> None:
    before = blocks_bytes()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        output = OutputProbe()
        expected = b""
        arrived = b""
        for number, some in enumerate([parts, *more]):
            expected += write(output, some, seed + number)
            output.send(theirs.fileno())
            output.send_queue(theirs.fileno())
            arrived += ours.recv(random.Random(seed + number).randrange(1, 30_000))
        while len(arrived) < len(expected):
            assert output.send_queue(theirs.fileno()) != "failed"
            arrived += ours.recv(100_000)
        assert arrived == expected
        assert output.send_queue(theirs.fileno()) in ("all", "empty")
        assert output.pending() == 0
        del output
    assert blocks_bytes() == before


@pytest.mark.parametrize("is_block", [False, True])
def test_a_turn_sends_no_more_than_its_share_however_much_the_socket_takes(is_block: bool) -> None:
    size = 16 * TURN_BYTES
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        with theirs:
            output = OutputProbe()
            expected = write(output, [(False, 100), (is_block, size), (is_block, size)], 1)
            arrived = b""
            assert output.send(theirs.fileno()) == "part"
            assert output.pending() > len(expected) - 2 * TURN_BYTES > 8 * TURN_BYTES
            while output.pending():
                arrived += ours.recv(size)
                before = output.pending()
                output.send_queue(theirs.fileno())
                assert before - output.pending() <= 2 * TURN_BYTES
            while len(arrived) < len(expected):
                arrived += ours.recv(size)
            assert arrived == expected


@settings(deadline=None, max_examples=examples(60))
@given(
    batches=st.lists(PARTS, min_size=1, max_size=6),
    sizes=st.lists(st.integers(1, 100_000), min_size=1),
    seed=st.integers(0, 9),
)
def test_what_is_copied_out_is_the_same(batches: list[list[Part]], sizes: list[int], seed: int) -> None:
    output = OutputProbe()
    expected = b""
    taken = b""
    for number, parts in enumerate(batches):
        expected += write(output, parts, seed + number)
        output.put_aside()
        taken += output.take(sizes[number % len(sizes)])
    while data := output.take(50_000):
        taken += data
    assert taken == expected


def test_a_queue_that_never_empties_does_not_grow() -> None:
    output = OutputProbe()
    output.write(b"x" * 100_000)
    output.put_aside()
    for _ in range(1000):
        output.write(b"y" * 10_000)
        output.put_aside()
        assert len(output.take(10_000)) == 10_000
    assert output.pending() == 100_000
    assert output.queued_bytes() <= 400_000


def test_sent_blocks_of_a_long_queue_are_released() -> None:
    before = blocks_bytes()
    output = OutputProbe()
    for _ in range(1000):
        output.write_block(b"b" * 20_000, 0, 20_000)
        output.put_aside()
        if output.pending() > 100_000:
            assert len(output.take(20_000)) == 20_000
    assert blocks_bytes() - before < 300 * 21_000


def test_a_long_queue_is_sent_as_it_was_written_though_its_memory_is_given_back() -> None:
    output = OutputProbe()
    whole = random.Random(1).randbytes(3_000_000)
    output.write(whole)
    output.put_aside()
    sent = b""
    while len(sent) < 2_900_000:
        sent += output.take(100_001)
    output.write(b"more" * 50_000)
    output.put_aside()
    while data := output.take(100_001):
        sent += data
    assert sent == whole + b"more" * 50_000


def test_a_queue_that_nobody_reads_is_given_back_in_parts() -> None:
    before = blocks_bytes()
    output = OutputProbe()
    for _ in range(20):
        output.write(b"a" * 100_000)
        output.write_block(b"b" * 100_000, 0, 100_000)
    output.put_aside()
    parts = 1
    while not output.shrink():
        parts += 1
    assert 4 <= parts <= 5
    assert blocks_bytes() - before < 1_200_000
    del output
    assert blocks_bytes() == before
    assert OutputProbe().shrink()


def test_a_broken_connection_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        output = OutputProbe()
        output.write(b"data")
        assert output.send(theirs.fileno()) == "failed"


@pytest.mark.parametrize(
    ("hard", "soft", "seconds", "verdicts"),
    [
        (0, 0, 0, [False, False, False]),
        (999, 0, 0, [True, True, True]),
        (1000, 0, 0, [False, False, False]),
        (0, 999, 5, [False, False, True]),
        (0, 1000, 5, [False, False, False]),
    ],
)
def test_limits(hard: int, soft: int, seconds: int, verdicts: list[bool]) -> None:
    limits = ClientLimits()
    limits.set_output(hard, soft, seconds)
    output = OutputProbe()
    output.write(b"x" * 1000)
    output.put_aside()
    assert [output.over_limit(limits, now_ms) for now_ms in (1000, 6000, 6001)] == verdicts


def test_the_soft_limit_starts_again_when_the_client_has_read() -> None:
    limits = ClientLimits()
    limits.set_output(0, 500, 5)
    output = OutputProbe()
    output.write(b"x" * 1000)
    output.put_aside()
    assert not output.over_limit(limits, 1000)
    output.take(800)
    assert not output.over_limit(limits, 9000)
    output.write(b"x" * 1000)
    output.put_aside()
    assert not output.over_limit(limits, 10_000)
    assert output.over_limit(limits, 15_001)
