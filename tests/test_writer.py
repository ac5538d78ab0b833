"""protocol/writer: every reply's bytes in RESP2 and RESP3, blocks, growth, taking back, failure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import writer_probe
from probes.writer_probe import BLOCK_MIN, KEPT_MAX, BlockProbe, WriterProbe


@pytest.fixture(autouse=True)
def memory_comes_back() -> Iterator[None]:
    yield
    writer_probe.fail_never()


REPLIES: list[tuple[str, Callable[[WriterProbe], None], bytes, bytes]] = [
    ("ok", lambda w: w.ok(), b"+OK\r\n", b"+OK\r\n"),
    ("simple", lambda w: w.simple(b"PONG"), b"+PONG\r\n", b"+PONG\r\n"),
    ("error", lambda w: w.error(b"ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
    ("error part", lambda w: w.error_part(b"ERR a\r\nb\nc\r"), b"-ERR a  b c \r\n", b"-ERR a  b c \r\n"),
    ("null", lambda w: w.null(), b"$-1\r\n", b"_\r\n"),
    ("null array", lambda w: w.null_array(), b"*-1\r\n", b"_\r\n"),
    ("array", lambda w: w.array(12), b"*12\r\n", b"*12\r\n"),
    ("empty array", lambda w: w.array(0), b"*0\r\n", b"*0\r\n"),
    ("map", lambda w: w.map(7), b"*14\r\n", b"%7\r\n"),
    ("set", lambda w: w.set(3), b"*3\r\n", b"~3\r\n"),
    ("push", lambda w: w.push(3), b"*3\r\n", b">3\r\n"),
    ("true", lambda w: w.bool(True), b":1\r\n", b"#t\r\n"),
    ("false", lambda w: w.bool(False), b":0\r\n", b"#f\r\n"),
    ("double", lambda w: w.double(3.14), b"$4\r\n3.14\r\n", b",3.14\r\n"),
    ("infinity", lambda w: w.double(math.inf), b"$3\r\ninf\r\n", b",inf\r\n"),
    ("minus infinity", lambda w: w.double(-math.inf), b"$4\r\n-inf\r\n", b",-inf\r\n"),
    ("not a number", lambda w: w.double(math.nan), b"$3\r\nnan\r\n", b",nan\r\n"),
    ("big number", lambda w: w.big_number(b"123456789" * 5), b"$45\r\n" + b"123456789" * 5 + b"\r\n",
     b"(" + b"123456789" * 5 + b"\r\n"),
    ("verbatim", lambda w: w.verbatim(b"txt", b"a\r\nb"), b"$4\r\na\r\nb\r\n", b"=8\r\ntxt:a\r\nb\r\n"),
    ("raw", lambda w: w.raw(b"abc"), b"abc", b"abc"),
    ("bulk", lambda w: w.bulk(b"a\x00b"), b"$3\r\na\x00b\r\n", b"$3\r\na\x00b\r\n"),
    ("bulk text", lambda w: w.bulk_text(b"abc"), b"$3\r\nabc\r\n", b"$3\r\nabc\r\n"),
    ("bulk int", lambda w: w.bulk_int(-123), b"$4\r\n-123\r\n", b"$4\r\n-123\r\n"),
    ("part of a value", lambda w: w.value_part(b"abcdef", 2, 3), b"$3\r\ncde\r\n", b"$3\r\ncde\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "resp2", "resp3"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_every_reply(write: Callable[[WriterProbe], None], resp2: bytes, resp3: bytes) -> None:
    for is_resp3, expected in ((False, resp2), (True, resp3)):
        writer = WriterProbe(resp3=is_resp3)
        for count in range(1, 300):  # through several sizes of the buffer
            write(writer)
            assert writer.size == count * len(expected)
        assert writer.output() == expected * 299


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 9999, 10000, 70000])
def test_bulks_of_every_size(size: int) -> None:
    data = b"x" * size
    expected = b"$%d\r\n%s\r\n" % (size, data)
    for write in (WriterProbe.bulk, WriterProbe.value):
        writer = WriterProbe()
        for _ in range(20):
            write(writer, data)
        assert writer.output() == expected * 20
        assert writer.marks == []


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(number: int) -> None:
    assert writer_probe.int_text(number) == b"%d" % number
    writer = WriterProbe()
    writer.int(number)
    writer.bulk_int(number)
    assert writer.output() == b":%d\r\n$%d\r\n%d\r\n" % (number, len(str(number)), number)


def test_integers_at_the_edges() -> None:
    for power in range(64):
        for number in (2**power - 1, 10 ** (power % 19), 10 ** (power % 19) - 1):
            for value in (number, -number):
                assert writer_probe.int_text(value) == b"%d" % value
    assert writer_probe.int_text(-(2**63)) == b"-9223372036854775808"


@settings(max_examples=examples(2000))
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_read_back_and_are_short(value: float) -> None:
    text = writer_probe.double_text(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    if abs(value) >= 2**62 or not value.is_integer():
        assert len(digits(text)) <= len(digits(repr(value).encode()))


def digits(text: bytes) -> bytes:
    """The significant digits."""
    return text.split(b"e")[0].strip(b"-").replace(b".", b"").strip(b"0")


def test_powers_of_two_and_their_neighbours_read_back_and_are_short() -> None:
    for power in range(-1074, 1024):
        for value in (2.0**power, math.nextafter(2.0**power, 0), math.nextafter(2.0**power, math.inf)):
            if 0 < value < 1 or value > 2**62:
                text = writer_probe.double_text(value)
                assert float(text) == value
                assert len(digits(text)) == len(digits(repr(value).encode()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (1.0, b"1"),
        (-2.5, b"-2.5"),
        (0.1, b"0.1"),
        (1 / 3, b"0.3333333333333333"),
        (100.0, b"100"),
        (1e17, b"100000000000000000"),
        (4e18, b"4000000000000000000"),
        (1e19, b"1e+19"),
        (1.5e300, b"1.5e+300"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (5e-324, b"5e-324"),
        (2.2250738585072014e-308, b"2.2250738585072014e-308"),
        (1e-6, b"0.000001"),
        (1e-7, b"1e-7"),
        (1.5e-5, b"0.000015"),
        (1.23456789e-5, b"1.23456789e-5"),
        (0.00123456789, b"0.00123456789"),
        (1234.12345678, b"1234.12345678"),
        (123456789.123, b"123456789.123"),
    ],
)
def test_doubles_are_laid_out_as_redis_does(value: float, text: bytes) -> None:
    assert writer_probe.double_text(value) == text


# --- blocks


def test_a_large_block_is_marked_not_copied() -> None:
    block = BlockProbe(bytes(range(256)) * 200)
    whole = bytes(range(256)) * 200
    writer = WriterProbe()
    writer.ok()
    writer.block_value(block)
    writer.block_value(block, 100)
    writer.block_value_part(block, 1000, BLOCK_MIN)
    writer.null()
    assert block.references == 4
    assert writer.size < 100
    assert [mark[1:] for mark in writer.marks] == [(0, len(whole)), (100, len(whole) - 100), (1000, BLOCK_MIN)]
    parts = [whole, whole[100:], whole[1000 : 1000 + BLOCK_MIN]]
    assert writer.output() == b"+OK\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts) + b"$-1\r\n"
    writer.clear()
    assert (block.references, writer.marks, writer.output()) == (1, [], b"")


def test_a_small_part_of_a_block_is_copied() -> None:
    block = BlockProbe(b"x" * (BLOCK_MIN - 1))
    writer = WriterProbe()
    writer.block_value(block)
    writer.block_value_part(block, 5, 3)
    assert writer.marks == []
    assert block.references == 1
    assert writer.output() == b"$%d\r\n%s\r\n$3\r\nxxx\r\n" % (BLOCK_MIN - 1, b"x" * (BLOCK_MIN - 1))


def test_a_raw_block_stands_as_it_is() -> None:
    block = BlockProbe(b"*1\r\n:1\r\n")
    writer = WriterProbe()
    writer.raw_block(block, 0, 8)
    writer.raw_block(block, 4, 4)
    writer.raw_block(block, 4, 0)
    assert writer.output() == b"*1\r\n:1\r\n:1\r\n"
    assert len(writer.marks) == 2
    writer.close()
    assert block.references == 1


def test_taking_back() -> None:
    block = BlockProbe(b"x" * BLOCK_MIN)
    writer = WriterProbe()
    writer.block_value(block)
    writer.ok()
    before = writer.output()
    writer.remember()
    writer.bulk(b"y" * 5000)
    for _ in range(40):
        writer.block_value(block)
    assert block.references == 42
    writer.rewind()
    assert writer.output() == before
    assert block.references == 2


def test_an_idle_writer_keeps_nothing_large() -> None:
    writer = WriterProbe()
    assert writer.memory_bytes == 0
    writer.bulk(b"x" * 10_000)
    kept = writer.memory_bytes
    writer.clear()
    assert 10_000 < writer.memory_bytes == kept <= KEPT_MAX
    writer.bulk(b"x" * (KEPT_MAX + 1))
    writer.clear()
    assert writer.memory_bytes == 0
    block = BlockProbe(b"x" * BLOCK_MIN)
    for _ in range(1000):
        writer.block_value(block)
    writer.clear()
    assert writer.memory_bytes <= KEPT_MAX
    assert block.references == 1
    writer.close()
    assert writer.memory_bytes == 0


# --- failure


def test_a_failed_writer_ignores_everything_until_it_is_cleared() -> None:
    writer = WriterProbe()
    writer.ok()
    writer.remember()
    writer_probe.fail_after(0)
    writer.bulk(b"x" * 5000)
    size = writer.size
    assert writer.failed
    for row in REPLIES:
        row[1](writer)
    writer.bulk(b"x" * 5000)
    writer.rewind()
    assert writer.room(0) is False
    writer_probe.fail_never()
    writer.ok()
    assert (writer.failed, writer.size) == (True, size)
    writer.clear()
    writer.ok()
    assert (writer.failed, writer.output()) == (False, b"+OK\r\n")


def test_no_memory_for_a_mark() -> None:
    block = BlockProbe(b"x" * BLOCK_MIN)
    writer = WriterProbe()
    writer.ok()
    writer_probe.fail_after(0)
    writer.block_value(block)
    assert writer.failed
    assert block.references == 1
    writer_probe.fail_never()
    writer.clear()
    assert writer.memory_bytes == 0


def test_a_size_beyond_reason_fails() -> None:
    writer = WriterProbe()
    assert writer.room(2**63) is False
    assert writer.failed
