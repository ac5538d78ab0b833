"""The collector: a list whose length comes first though it is known last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from probes import collector_probe as probe


def expected(texts: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


def test_short_lists_are_copied() -> None:
    for texts in ([], [b""], [b"a", b"bc"], [b"k" * 100] * 100):
        assert probe.collect(texts) == (expected(texts), 0)
    assert probe.held_bytes() == 0


def test_long_lists_are_sent_as_they_lie() -> None:
    texts = [b"key:%06d" % index for index in range(100_000)]
    reply, marks = probe.collect(texts)
    assert reply == expected(texts)
    assert 4 <= marks <= 20
    assert probe.held_bytes() == 0


def test_large_texts_are_not_copied() -> None:
    texts = [b"a" * 16_384, b"b" * 100_000, b"c" * 16_384]
    reply, marks = probe.collect(texts, apart=True)
    assert reply == expected(texts)
    assert marks == 7  # header, text, line end and next header, text, ..., line end
    assert probe.held_bytes() == 0


def test_texts_larger_than_any_block() -> None:
    texts = [b"a", b"b" * 300_000, b"c", b"d" * 1_000_000, b"e"]
    assert probe.collect(texts)[0] == expected(texts)
    assert probe.held_bytes() == 0


@given(st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=3)), max_size=30), st.booleans())
def test_any_list(shapes: list[tuple[int, bytes]], apart: bool) -> None:
    texts = [b"x" * size + end for size, end in shapes]
    reply, _ = probe.collect(texts, apart=apart)
    assert reply == expected(texts)
    assert probe.held_bytes() == 0


def test_running_out_of_memory_is_remembered_and_leaks_nothing() -> None:
    texts = [b"x" * 3000] * 40
    assert probe.collect(texts, fail_after=1000) is not None
    failures = 0
    while probe.collect(texts, fail_after=failures) is None:
        failures += 1
        assert probe.held_bytes() == 0
    assert failures >= 4
