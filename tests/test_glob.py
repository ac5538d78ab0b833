"""Glob patterns: a table of cases as redis-server 7 answers them, a plain model, and a bound on the work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import glob_probe as probe

# Each verified with KEYS of redis-server 7.0.15: the pattern, texts that match, texts that do not.
CASES = [
    (b"", [b""], [b"a", b"*"]),
    (b"abc", [b"abc"], [b"ab", b"abcd", b"ABC", b""]),
    (b"a*", [b"a", b"ab", b"abc"], [b"b", b"ba", b""]),
    (b"*a", [b"a", b"ba", b"aba"], [b"ab", b""]),
    (b"a*c", [b"ac", b"abc", b"acbc"], [b"acb", b"a", b"c"]),
    (b"**", [b"a", b"ab"], [b""]),
    (b"*a*b*", [b"ab", b"xaxbx", b"aab"], [b"ba", b"a", b"b"]),
    (b"?", [b"a", b"\xff", b"?"], [b"", b"ab"]),
    (b"a?c", [b"abc", b"a?c"], [b"ac", b"abbc"]),
    (b"*?", [b"a", b"ab"], [b""]),
    (b"?*?", [b"ab", b"abc"], [b"a", b""]),
    (b"[abc]", [b"a", b"b", b"c"], [b"d", b"", b"ab", b"]"]),
    (b"[a-c]x", [b"ax", b"bx", b"cx"], [b"dx", b"-x", b"x"]),
    (b"[c-a]", [b"a", b"b", b"c"], [b"d", b"-"]),
    (b"[^a]", [b"b", b"^"], [b"a", b"", b"bb"]),
    (b"[^a-c]", [b"d", b"-"], [b"a", b"b", b"c"]),
    (b"[a^]", [b"a", b"^"], [b"b"]),
    (b"[]", [], [b"", b"]", b"[", b"[]", b"a"]),
    (b"[^]", [b"a", b"]"], [b"", b"ab"]),
    (b"[]a]", [], [b"]", b"a", b"]a]", b"a]"]),
    (b"[", [], [b"[", b"", b"a"]),
    (b"[^", [b"a", b"["], [b"", b"aa"]),
    (b"[ab", [b"a", b"b"], [b"[ab", b"c"]),
    (b"[a-", [b"a", b"-"], [b"b"]),
    (b"[a-]", [b"a", b"]", b"^", b"_"], [b"-", b"b"]),
    (b"[a-]x", [b"a", b"x", b"]"], [b"ax", b"b"]),
    (b"[\\]]", [b"]"], [b"\\", b"a"]),
    (b"[\\a-c]", [b"a", b"-", b"c"], [b"b", b"\\"]),
    (b"[a-\\]", [b"\\", b"]", b"^", b"a"], [b"b", b"-", b"["]),
    (b"[\\", [b"\\"], [b"", b"[", b"a"]),
    (b"\\*", [b"*"], [b"a", b"\\*", b""]),
    (b"\\a", [b"a"], [b"\\a"]),
    (b"\\\\", [b"\\"], [b"\\\\"]),
    (b"a\\", [b"a\\"], [b"a"]),
    (b"\\", [b"\\"], [b"", b"a"]),
    (b"\\[a]", [b"[a]"], [b"a"]),
    (b"*[a-c]*", [b"a", b"xbx"], [b"x", b""]),
    (b"*\\*", [b"*", b"a*"], [b"a"]),
    (b"a]", [b"a]"], [b"a"]),
    (b"\x00*\xff", [b"\x00\xff", b"\x00a\xff"], [b"\x00"]),
]


@pytest.mark.parametrize(("pattern", "matching", "other"), CASES, ids=lambda value: repr(value))
def test_cases(pattern: bytes, matching: list[bytes], other: list[bytes]) -> None:
    assert [text for text in matching if not probe.match(pattern, text)] == []
    assert [text for text in other if probe.match(pattern, text)] == []


def test_case_is_ignored_when_asked() -> None:
    assert probe.match(b"MAX*", b"maxmemory", True)
    assert probe.match(b"[A-C]x", b"bX", True)
    assert probe.match(b"*Memory*", b"maxmemory-policy", True)
    assert not probe.match(b"MAX*", b"maxmemory")


def test_ranges_of_bytes_are_unsigned() -> None:
    assert probe.match(b"[a-\xff]", b"\x80")
    assert not probe.match(b"[a-\xff]", b"A")


def elements(pattern: bytes) -> list[object]:
    """A pattern without classes as a list: a number is that byte, "?" any one, "*" any number."""
    found: list[object] = []
    place = 0
    while place < len(pattern):
        if pattern[place] == 0x5C and place + 1 < len(pattern):
            place += 1
            found.append(pattern[place])
        elif pattern[place] in b"*?":
            found.append(chr(pattern[place]))
        else:
            found.append(pattern[place])
        place += 1
    return found


def model(pattern: list[object], text: bytes) -> bool:
    """The definition, by dynamic programming: which prefixes of the text the pattern so far can match."""
    reached = {0}
    for element in pattern:
        if element == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(text) and element in ("?", text[at])}
    return len(text) in reached


@given(st.text("ab*?\\", max_size=10), st.text("ab*?\\", min_size=1, max_size=12))
def test_agrees_with_the_definition(pattern: str, text: str) -> None:
    assert probe.match(pattern.encode(), text.encode()) == model(elements(pattern.encode()), text.encode())


def test_many_stars_stay_bounded() -> None:
    """Would take some 10^40 steps if every star were tried against every other."""
    assert not probe.match(b"*a" * 60 + b"b", b"a" * 4000)
    assert not probe.match(b"a*" * 60 + b"b", b"a" * 4000 + b"c")
    assert probe.match(b"*a" * 60, b"a" * 4000)


def test_a_pattern_of_many_stars_needs_no_stack() -> None:
    assert probe.match(b"*?" * 100_000, b"a" * 100_000)
    assert not probe.match(b"*?" * 100_001, b"a" * 100_000)


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [(b"", True), (b"a]-^", True), (b"a*", False), (b"?", False), (b"[a", False), (b"a\\b", False)],
)
def test_is_literal(pattern: bytes, literal: bool) -> None:
    assert probe.is_literal(pattern) is literal
