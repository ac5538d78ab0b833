"""Reading settings: configuration files in redis.conf's syntax, and `--option value` arguments.

A line is an option's name and its words, separated by blanks; a line that starts with # is a comment. Words may
stand in double quotes (with \\n \\r \\t \\a \\b \\\\ \\" and \\xHH) or single quotes (with \\'). `include` reads
further files, by glob pattern. A later setting of an option replaces an earlier one, except that lines of `save` and of
`client-output-buffer-limit` add up. Bytes that are not UTF-8 are kept (surrogateescape).
Both sources become a list of Settings, each of which knows where it stands, so that a fault is one clear line.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from kvcy.server.options import Options, UnknownOption, find
from kvcy.server.redis_options import ALIASES, NOT_YET, NOT_YET_SAFEGUARDS, WITHOUT_EFFECT
from kvcy.server.values import SAVE_POINTS

INCLUDE_DEPTH_MAX = 16

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


class ConfigError(Exception):
    """A fault in a configuration: one line that says where and what."""


@dataclass(frozen=True)
class Setting:
    name: str
    words: tuple[str, ...]
    place: str  # "redis.conf:12", "--port"


@dataclass
class Loaded:
    """Options after all settings, and the names of those that have no effect."""

    options: Options
    not_yet: list[str] = field(default_factory=list)
    safeguards: list[str] = field(default_factory=list)
    without_effect: list[str] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """What the log should say about options without effect, one line each."""
        lines = [
            f"option '{name}' has no effect in this version: nothing is protected by it" for name in self.safeguards
        ]
        if self.not_yet:
            lines.append("these options have no effect in this version: " + ", ".join(self.not_yet))
        return lines


def split_words(line: str) -> list[str]:
    """The words of one line. Raises ValueError for quotes that do not match."""
    words: list[str] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at].isspace():
            at += 1
        if at == end:
            return words
        word, at = _one_word(line, at)
        words.append(word)


def _one_word(line: str, at: int) -> tuple[str, int]:
    """The word that starts at `at`, and where it ends. A quoted part must end the word."""
    out: list[str] = []
    while at < len(line) and not line[at].isspace():
        if line[at] in "\"'":
            part, at = _quoted(line, at)
            out.append(part)
            if at < len(line) and not line[at].isspace():
                raise ValueError("unbalanced quotes")
        else:
            out.append(line[at])
            at += 1
    return "".join(out), at


def _quoted(line: str, at: int) -> tuple[str, int]:
    """The text in quotes from `at`, and the position behind the closing quote."""
    quote, at = line[at], at + 1
    out = bytearray()
    while at < len(line) and line[at] != quote:
        char = line[at]
        following = line[at + 1 : at + 2]
        if char == "\\" and quote == '"' and following:
            digits = line[at + 2 : at + 4]
            if following == "x" and len(digits) == 2 and all(c in "0123456789abcdefABCDEF" for c in digits):
                out.append(int(digits, 16))
                at += 4
                continue
            char = _ESCAPES.get(following, following)
            at += 1
        elif char == "\\" and following == "'":
            char = "'"
            at += 1
        out += char.encode("utf-8", "surrogateescape")
        at += 1
    if at >= len(line):
        raise ValueError("unbalanced quotes")
    return out.decode("utf-8", "surrogateescape"), at + 1


def read_lines(lines: Iterable[str], name: str, *, depth: int = 0) -> list[Setting]:
    """The settings of a configuration's lines; `name` is what places are called by."""
    settings: list[Setting] = []
    for number, line in enumerate(lines, 1):
        place = f"{name}:{number}"
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            words = split_words(text)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None
        if not words:
            continue
        if words[0].lower() == "include":
            settings += _include(words[1:], place, depth)
        else:
            settings.append(Setting(words[0].lower(), tuple(words[1:]), place))
    return settings


def _include(words: Sequence[str], place: str, depth: int) -> list[Setting]:
    if len(words) != 1:
        raise ConfigError(f"{place}: option 'include': wrong number of arguments")
    if depth >= INCLUDE_DEPTH_MAX:
        raise ConfigError(f"{place}: includes are nested more than {INCLUDE_DEPTH_MAX} deep")
    paths = sorted(glob.glob(words[0])) if glob.has_magic(words[0]) else [words[0]]
    return [setting for path in paths for setting in read_file(path, depth=depth + 1, place=place)]


def read_file(path: str, *, depth: int = 0, place: str = "") -> list[Setting]:
    """The settings of a configuration file and of what it includes."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return read_lines(file, path, depth=depth)
    except OSError as error:
        before = f"{place}: " if place else ""
        raise ConfigError(f"{before}can't read configuration file '{path}': {error.strerror}") from None


def read_arguments(arguments: Sequence[str]) -> list[Setting]:
    """The settings of `--name word...` arguments. A word may start with -- only as an option's first word and when no
    option has that name."""
    settings: list[Setting] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if not argument.startswith("--") or len(argument) == 2:
            raise ConfigError(f"unexpected argument '{argument}'")
        try:
            name, *words = split_words(argument[2:])  # `"--port 6380"` as one argument is accepted as well
        except ValueError as error:
            raise ConfigError(f"{argument}: {error}") from None
        at += 1
        while at < len(arguments) and not _starts_option(arguments[at], words):
            words.append(arguments[at])
            at += 1
        settings += _argument_settings(name.lower(), words)
    return settings


def _starts_option(argument: str, words: Sequence[str]) -> bool:
    if not argument.startswith("--"):
        return False
    name = argument[2:].split(None, 1)[0].lower() if argument[2:].strip() else ""
    return bool(words) or find(name) is not None or ALIASES.get(name, name) in NOT_YET | WITHOUT_EFFECT


def _argument_settings(name: str, words: Sequence[str]) -> list[Setting]:
    if name == "include":
        return _include(words, "--include", 0)
    return [Setting(name, tuple(words), f"--{name}")]


def read_stream(stream: TextIO) -> list[Setting]:
    """The settings of standard input (`-`)."""
    return read_lines(stream, "standard input")


def load(settings: Iterable[Setting]) -> Loaded:
    """Options from all settings in order. Raises ConfigError for an unknown option or a bad value."""
    loaded = Loaded(Options())
    for setting in settings:
        name = ALIASES.get(setting.name, setting.name)
        row = find(name)
        if row is not None:
            try:
                if not setting.words:
                    raise ValueError("wrong number of arguments")
                value = row.kind.parse_line(setting.words, getattr(loaded.options, row.attribute))
            except ValueError as error:
                raise ConfigError(f"{setting.place}: option '{setting.name}': {error}") from None
            setattr(loaded.options, row.attribute, value)
        elif name in NOT_YET_SAFEGUARDS:
            _remember(loaded.safeguards, name)
        elif name in NOT_YET:
            _remember(loaded.not_yet, name)
        elif name in WITHOUT_EFFECT:
            _remember(loaded.without_effect, name)
        else:
            raise ConfigError(f"{setting.place}: {UnknownOption(setting.name).text}")
    if loaded.options.appendonly and loaded.options.save is SAVE_POINTS:
        loaded.options.save = ()  # the log has everything, and its growth calls for snapshots by itself
    return loaded


def _remember(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
