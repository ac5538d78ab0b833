"""Long commands that come in pieces: their arguments are taken as they come, and the command by itself."""

from __future__ import annotations

import pytest
import resp

from probes.parser_probe import ParseError, ParserProbe

APART_FROM = 16384  # so many bytes of an unfinished command are taken, not left with the caller


@pytest.mark.parametrize("step", [7, 1009, 16384, 30_000])
def test_the_arguments_of_a_long_command_are_taken_as_they_come(step: int) -> None:
    words = [b"MGET", *[b"x" * (n % 40) for n in range(30_000)]]
    data = resp.encode(words) + resp.encode(["ping"])
    probe = ParserProbe()
    for start in range(0, len(data), step):
        probe.feed(data[start : start + step])
        # What is not taken has not been looked at, or is no more than what is left with the caller of any command.
        assert len(probe.rest) < APART_FROM + len(b"$39\r\n" + b"x" * 39 + b"\r\n") + step
    assert probe.commands == [words, [b"ping"]]
    assert probe.wholes[0] < 24 * 1.5 * len(words) + 1.1 * sum(map(len, words)) + 10_000
    assert probe.memory_bytes == 0


def test_a_long_command_of_empty_arguments() -> None:
    words = [b""] * 20_000
    data = resp.encode(words)
    probe = ParserProbe()
    for start in range(0, len(data), 10_000):
        probe.feed(data[start : start + 10_000])
    assert probe.commands == [words]


def test_an_error_far_inside_a_command() -> None:
    data = b"*100000\r\n" + b"$3\r\nabc\r\n" * 5000
    probe = ParserProbe()
    probe.feed(data)
    assert probe.rest == b""
    with pytest.raises(ParseError, match="expected '\\$', got '!'"):
        probe.feed(b"!3\r\n")
    probe.close()
    assert probe.memory_bytes == 0
