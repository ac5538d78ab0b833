"""CONFIG GET, SET, RESETSTAT and REWRITE."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence

from kvcy.server.config_file import split_words
from kvcy.server.context import Context
from kvcy.server.options import ROWS, Config, OptionError, UnknownOption, find
from kvcy.server.replies import OK, Error, Reply

GENERATED = "# Written by CONFIG REWRITE"


def text_of(arg: bytes) -> str:
    return arg.decode("utf-8", "surrogateescape")


async def config_get(context: Context, args: Sequence[bytes]) -> Reply:
    """Names without glob characters may be aliases; they come back as they were asked for."""
    found: dict[str, str] = {}
    config = context.server.config
    for arg in args:
        pattern = text_of(arg).lower()
        row = find(pattern)
        if row is not None:
            found[pattern] = config.format(row)
        else:
            match = re.compile(glob_to_regex(pattern)).match
            found.update((name, config.format(ROWS[name])) for name in ROWS if match(name))
    return found


def glob_to_regex(pattern: str) -> str:
    """Redis's globs over option names: * ? [abc] [^abc] [a-z] and backslash."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[":
            end = pattern.find("]", at)
            inside = pattern[at:] if end < 0 else pattern[at:end]
            at = len(pattern) if end < 0 else end + 1
            negated = inside.startswith("^")
            inside = inside[1:] if negated else inside
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside)
            out.append(f"[{'^' if negated else ''}{inside}]" if inside else "(?!)")
        else:
            out.append({"*": ".*", "?": "."}.get(char, re.escape(char)))
    return "".join(out) + r"\Z"


async def config_set(context: Context, args: Sequence[bytes]) -> Reply:
    if len(args) % 2:
        return Error("ERR syntax error")
    pairs = [(text_of(name), text_of(value)) for name, value in zip(args[::2], args[1::2], strict=True)]
    allowed = context.server.config.options.enable_protected_configs
    try:
        context.server.config.set_many(
            pairs, protected_allowed=allowed == "yes" or (allowed == "local" and context.local)
        )
    except UnknownOption as error:
        return Error(f"ERR Unknown option or number of arguments for CONFIG SET - '{error.name}'")
    except OptionError as error:
        return Error(f"ERR CONFIG SET failed (possibly related to argument '{error.name}') - {error.text}")
    context.server.log.verbose("options changed by CONFIG SET: " + ", ".join(name for name, _ in pairs))
    return OK


async def config_resetstat(context: Context, args: Sequence[bytes]) -> Reply:
    context.server.reset_statistics()
    return OK


async def config_rewrite(context: Context, args: Sequence[bytes]) -> Reply:
    config = context.server.config
    if config.path is None:
        return Error("ERR The server is running without a config file")
    try:
        rewrite(config, config.path)
    except OSError as error:
        context.server.log.warning(f"CONFIG REWRITE failed: {error}")
        return Error(f"ERR Rewriting config file: {error.strerror}")
    context.server.log.notice("CONFIG REWRITE executed with success")
    return OK


def rewritten(config: Config, lines: Sequence[str]) -> list[str]:
    """A configuration file's lines with the present values. Comments, order and what is not kvcy's stay; an option's
    lines stand where its first one stood; options that the file lacks and that are not at their default come last."""
    out: list[str] = []
    seen: set[str] = set()
    for line in lines:
        try:
            words = split_words(line.strip())
        except ValueError:
            words = []
        row = find(words[0]) if words and not words[0].startswith("#") else None
        if row is None:
            out.append(line)
        elif row.name not in seen:
            seen.add(row.name)
            out += option_lines(config, row.name)
    missing = [
        row.name
        for row in ROWS.values()
        if row.name not in seen and getattr(config.options, row.attribute) != row.default
    ]
    if missing and GENERATED not in out:
        out.append(GENERATED)
    for name in missing:
        out += option_lines(config, name)
    return out


def option_lines(config: Config, name: str) -> list[str]:
    row = ROWS[name]
    return [f"{name} {words}" for words in row.kind.lines(getattr(config.options, row.attribute))]


def rewrite(config: Config, path: str) -> None:
    """Replaces the file at once, by renaming; its permissions stay. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as old:
            lines = old.read().splitlines()
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        lines, mode = [], 0o644
    directory = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=directory)
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as new:
            new.write("".join(line + "\n" for line in rewritten(config, lines)))
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
