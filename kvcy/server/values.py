"""Kinds of option values: how a value is read from text, checked, and written back as CONFIG GET shows it.

A kind reads a list of words (as a configuration line or CONFIG SET gives them) into a Python value and formats it
again; format and parse are each other's inverse. A bad value raises ValueError with Redis's text, to which the
caller adds where it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from kvcy.engine.events import ALL_LETTERS, LETTERS

T = TypeVar("T")

INT64_MAX = 2**63 - 1

_MEMORY_UNITS_BYTES = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}
_MEMORY_PATTERN = re.compile(r"([0-9]+)([a-z]*)\Z", re.ASCII)
_INTEGER_PATTERN = re.compile(r"-?[0-9]+\Z", re.ASCII)


def parse_memory_bytes(text: str) -> int:
    """A size with an optional unit, any case: 1k is 1000, 1kb is 1024, and so on up to gb."""
    match = _MEMORY_PATTERN.match(text.lower())
    unit_bytes = None if match is None else _MEMORY_UNITS_BYTES.get(match[2])
    if match is None or unit_bytes is None:
        raise ValueError("argument must be a memory value")
    return int(match[1]) * unit_bytes


def format_memory(size_bytes: int) -> str:
    """The shortest exact spelling in binary units, for configuration files."""
    for unit in ("gb", "mb", "kb"):
        if size_bytes and size_bytes % _MEMORY_UNITS_BYTES[unit] == 0:
            return f"{size_bytes // _MEMORY_UNITS_BYTES[unit]}{unit}"
    return str(size_bytes)


class Kind(Generic[T]):
    """One kind of value. `several`: it may take any number of words, which CONFIG SET gives in one argument."""

    several = False

    def parse(self, words: Sequence[str], old: T) -> T:
        """The value of these words; `old` is what it was, for kinds whose lines add up."""
        if len(words) != 1:
            raise ValueError("wrong number of arguments")
        return self.parse_word(words[0])

    def parse_line(self, words: Sequence[str], old: T) -> T:
        """The value after one more line of a configuration file."""
        return self.parse(words, old)

    def parse_word(self, word: str) -> T:
        raise NotImplementedError

    def format(self, value: T) -> str:
        """As CONFIG GET shows it."""
        return str(value)

    def lines(self, value: T) -> list[str]:
        """As configuration lines hold it, the option's name left out (words quoted where needed)."""
        return [quote_word(self.format(value))]


def quote_word(word: str) -> str:
    """The word as a configuration line can hold it."""
    if word and not re.search(r"[\s\"'\\#\x00-\x1f\x7f]", word):
        return word
    out = []
    for byte in word.encode("utf-8", "surrogateescape"):
        if byte in b'"\\':
            out.append("\\" + chr(byte))
        elif 0x20 <= byte < 0x7F:
            out.append(chr(byte))
        else:
            out.append(f"\\x{byte:02x}")
    return '"' + "".join(out) + '"'


@dataclass(frozen=True)
class Integer(Kind[int]):
    least: int
    most: int

    def parse_word(self, word: str) -> int:
        if not _INTEGER_PATTERN.match(word):
            raise ValueError("argument couldn't be parsed into an integer")
        return self._checked(int(word))

    def _checked(self, number: int) -> int:
        if not self.least <= number <= self.most:
            raise ValueError(f"argument must be between {self.least} and {self.most} inclusive")
        return number


@dataclass(frozen=True)
class Clamped(Integer):
    """An integer that is moved into its range instead of being refused."""

    def _checked(self, number: int) -> int:
        return min(max(number, self.least), self.most)


@dataclass(frozen=True)
class Octal(Kind[int]):
    """File permissions; 0 means: as the process's umask has it."""

    def parse_word(self, word: str) -> int:
        if not re.match(r"[0-7]{1,4}\Z", word, re.ASCII) or int(word, 8) > 0o777:
            raise ValueError("argument must be an octal number between 0 and 777")
        return int(word, 8)

    def format(self, value: int) -> str:
        return f"{value:o}"


@dataclass(frozen=True)
class Memory(Integer):
    def parse_word(self, word: str) -> int:
        return self._checked(parse_memory_bytes(word))

    def lines(self, value: int) -> list[str]:
        return [format_memory(value)]


class MemoryOrShare(Kind[int]):
    """A size in bytes, or a share of maxmemory: -5 stands for 5 %."""

    def parse_word(self, word: str) -> int:
        share = re.match(r"([0-9]+)%\Z", word, re.ASCII)
        try:
            number = -int(share[1]) if share else parse_memory_bytes(word)
        except ValueError:
            number = INT64_MAX + 1
        if share and number < -100:
            raise ValueError("percentage argument must be less or equal to 100")
        if number > INT64_MAX or (number < 0 and not share):
            raise ValueError("argument must be a memory or percent value")
        return number

    def format(self, value: int) -> str:
        return f"{-value}%" if value < 0 else str(value)

    def lines(self, value: int) -> list[str]:
        return [f"{-value}%" if value < 0 else format_memory(value)]


class EventClasses(Kind[int]):
    """The classes of keyspace events, a letter each: a bit each of events.LETTERS."""

    def parse_word(self, word: str) -> int:
        classes = 0
        for letter in word:
            if letter not in LETTERS + "A":
                raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
            for one in ALL_LETTERS if letter == "A" else letter:
                classes |= 1 << LETTERS.index(one)
        return classes

    def format(self, value: int) -> str:
        text = "".join(letter for place, letter in enumerate(LETTERS) if value >> place & 1)
        if text.startswith(ALL_LETTERS):
            return "A" + text.removeprefix(ALL_LETTERS).removeprefix("n")
        return text

    def lines(self, value: int) -> list[str]:
        return [quote_word(self.format(value)) or '""']


class YesNo(Kind[bool]):
    def parse_word(self, word: str) -> bool:
        if word.lower() not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
        return word.lower() == "yes"

    def format(self, value: bool) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True)
class OneOf(Kind[str]):
    choices: tuple[str, ...]

    def parse_word(self, word: str) -> str:
        if word.lower() not in self.choices:
            raise ValueError("argument(s) must be one of the following: " + ", ".join(self.choices))
        return word.lower()


class Text(Kind[str]):
    def parse_word(self, word: str) -> str:
        if "\0" in word:
            raise ValueError("argument must not contain a zero byte")
        return word


class Words(Kind[tuple[str, ...]]):
    """Any number of words, such as addresses."""

    several = True

    def parse(self, words: Sequence[str], old: tuple[str, ...]) -> tuple[str, ...]:
        if len(words) == 1:
            words = words[0].split()
        return tuple(words)

    def format(self, value: tuple[str, ...]) -> str:
        return " ".join(value)

    def lines(self, value: tuple[str, ...]) -> list[str]:
        return [" ".join(map(quote_word, value)) if value else '""']


class SavePoint(NamedTuple):
    seconds: int
    changes: int


# Redis's rules. They stand until one is set: then they are gone.
SAVE_POINTS = (SavePoint(3600, 1), SavePoint(300, 100), SavePoint(60, 10_000))


class SavePoints(Kind[tuple[SavePoint, ...]]):
    """Pairs of seconds and changes; an empty word stands for none. Lines add up; CONFIG SET replaces."""

    several = True

    def parse_line(self, words: Sequence[str], old: tuple[SavePoint, ...]) -> tuple[SavePoint, ...]:
        points = self.parse(words, old)
        if not points:
            return ()
        return points if old is SAVE_POINTS else old + points

    def parse(self, words: Sequence[str], old: tuple[SavePoint, ...]) -> tuple[SavePoint, ...]:
        parts = [word for part in words for word in part.split()]
        if len(parts) % 2 or not all(part.isdigit() and part.isascii() for part in parts):
            raise ValueError("Invalid save parameters")
        pairs = tuple(SavePoint(int(a), int(b)) for a, b in _pairs(parts))
        if any(point.seconds < 1 for point in pairs):
            raise ValueError("Invalid save parameters")
        return pairs

    def format(self, value: tuple[SavePoint, ...]) -> str:
        return " ".join(f"{point.seconds} {point.changes}" for point in value)

    def lines(self, value: tuple[SavePoint, ...]) -> list[str]:
        return [self.format(value) or '""']


class Percentiles(Kind[tuple[float, ...]]):
    """Any number of percentages; an empty word stands for none."""

    several = True

    def parse(self, words: Sequence[str], old: tuple[float, ...]) -> tuple[float, ...]:
        try:
            values = tuple(float(word) for part in words for word in part.split())
        except ValueError:
            raise ValueError("Invalid latency-tracking-info-percentiles parameters") from None
        if not all(0.0 <= value <= 100.0 for value in values):
            raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return values

    def format(self, value: tuple[float, ...]) -> str:
        return " ".join(f"{one:g}" for one in value)

    def lines(self, value: tuple[float, ...]) -> list[str]:
        return [self.format(value) or '""']


class OutputLimit(NamedTuple):
    """When a client that does not read its replies is closed: at once above `hard_bytes`, or when it was above
    `soft_bytes` for `soft_seconds`; 0 is no limit."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


class OutputLimits(NamedTuple):
    normal: OutputLimit = OutputLimit(0, 0, 0)
    slave: OutputLimit = OutputLimit(256 * 1024**2, 64 * 1024**2, 60)
    pubsub: OutputLimit = OutputLimit(32 * 1024**2, 8 * 1024**2, 60)


class OutputLimitsKind(Kind[OutputLimits]):
    """Groups of class, hard limit, soft limit and seconds; classes that are not named keep their limits."""

    several = True

    def parse(self, words: Sequence[str], old: OutputLimits) -> OutputLimits:
        parts = [word for part in words for word in part.split()]
        if not parts or len(parts) % 4:
            raise ValueError("Wrong number of arguments in buffer limit configuration.")
        limits = old
        for at in range(0, len(parts), 4):
            name = {"replica": "slave"}.get(parts[at].lower(), parts[at].lower())
            if name not in OutputLimits._fields:
                raise ValueError("Invalid client class specified in buffer limit configuration.")
            limits = limits._replace(**{name: self._limit(parts[at + 1 : at + 4])})
        return limits

    def _limit(self, parts: Sequence[str]) -> OutputLimit:
        try:
            numbers = [parse_memory_bytes(parts[0]), parse_memory_bytes(parts[1]), int(parts[2])]
        except ValueError:
            numbers = [-1]
        if min(numbers) < 0:
            raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
        return OutputLimit(*numbers)

    def format(self, value: OutputLimits) -> str:
        return " ".join(f"{name} {one[0]} {one[1]} {one[2]}" for name, one in zip(value._fields, value, strict=True))

    def lines(self, value: OutputLimits) -> list[str]:
        return [
            f"{'replica' if name == 'slave' else name} {format_memory(one[0])} {format_memory(one[1])} {one[2]}"
            for name, one in zip(value._fields, value, strict=True)
        ]


def _pairs(items: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(items[::2], items[1::2], strict=True)
