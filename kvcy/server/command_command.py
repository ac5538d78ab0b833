"""COMMAND and its subcommands, all answered from the commands' rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kvcy.commands.rows import Row
from kvcy.server.config_command import glob_to_regex, text_of
from kvcy.server.context import Context
from kvcy.server.replies import SYNTAX_ERROR, Error, Reply, Set, Simple
from kvcy.server.syntax import arguments

NO_KEYS = Error("ERR The command has no key arguments")


def walk(context: Context) -> Iterator[tuple[str, Row]]:
    """All rows with their full names, subcommands behind their containers."""
    for row in context.server.rows:
        yield from row.walk()


def wanted(context: Context, names: Sequence[bytes]) -> Iterator[tuple[str, Row | None]]:
    """The rows of these names in any case, None for what is unknown; all top-level rows when no name is given."""
    if not names:
        yield from ((row.name, row) for row in context.server.rows)
        return
    rows = dict(walk(context))
    for name in names:
        text = text_of(name).lower()
        yield text, rows.get(text)


def words(items: Sequence[str]) -> Set:
    return Set([Simple(item) for item in items])


def key_specs(row: Row) -> list[tuple[int, int, int, list[str]]]:
    """Ranges of keys: first argument, last one (relative to the first; from the end when negative), step, flags. Where
    key_flags has parts separated by /, each key has its own range."""
    first, last, step = row.keys
    if first == 0:
        return []
    parts = row.key_flags.split("/") if row.key_flags else [""]
    if len(parts) == 1:
        return [(first, last - first if last > 0 else last, step, parts[0].split())]
    return [(first + index * step, 0, 1, part.split()) for index, part in enumerate(parts)]


def spec_reply(spec: tuple[int, int, int, list[str]]) -> Reply:
    first, last, step, flags = spec
    begin: dict[str, Reply] = {"type": "index", "spec": {"index": first}}
    found: dict[str, Reply] = {"type": "range", "spec": {"lastkey": last, "keystep": step, "limit": 0}}
    reply: dict[str, Reply] = {"flags": words(flags), "begin_search": begin, "find_keys": found}
    return reply


def info_reply(name: str, row: Row) -> Reply:
    """COMMAND INFO's ten elements."""
    return [
        name,
        row.arity,
        words(row.redis_flags),
        *row.keys,
        words([f"@{category}" for category in row.acl_categories]),
        Set(list(row.tips)),
        Set([spec_reply(spec) for spec in key_specs(row)]),
        Set([info_reply(f"{name}|{sub.name}", sub) for sub in row.subcommands]),
    ]


def docs_reply(name: str, row: Row) -> Reply:
    docs: dict[str, Reply] = {
        "summary": row.summary,
        "since": row.since,
        "group": row.group,
        "complexity": row.complexity,
    }
    if row.history:
        docs["history"] = Set([[version, change] for version, change in row.history])
    if row.syntax:
        docs["arguments"] = arguments(row.syntax, key_specs=len(key_specs(row)))
    if row.subcommands:
        docs["subcommands"] = {f"{name}|{sub.name}": docs_reply(f"{name}|{sub.name}", sub) for sub in row.subcommands}
    return docs


async def command(context: Context, args: Sequence[bytes]) -> Reply:
    return await command_info(context, [])


async def command_count(context: Context, args: Sequence[bytes]) -> Reply:
    return len(context.server.rows)


async def command_info(context: Context, args: Sequence[bytes]) -> Reply:
    return [None if row is None else info_reply(name, row) for name, row in wanted(context, args)]


async def command_docs(context: Context, args: Sequence[bytes]) -> Reply:
    return {name: docs_reply(name, row) for name, row in wanted(context, args) if row is not None}


async def command_list(context: Context, args: Sequence[bytes]) -> Reply:
    if not args:
        return Set([row.name for row in context.server.rows])
    if len(args) != 3 or args[0].lower() != b"filterby":
        return SYNTAX_ERROR
    kind, value = args[1].lower(), text_of(args[2]).lower()
    if kind == b"module":
        return Set([])
    if kind == b"aclcat":
        return Set([name for name, row in walk(context) if not row.subcommands and value in row.acl_categories])
    if kind == b"pattern":
        match = re.compile(glob_to_regex(value), re.DOTALL).match
        return Set([name for name, _ in walk(context) if match(name)])
    return SYNTAX_ERROR


def find_keys(context: Context, args: Sequence[bytes]) -> list[tuple[bytes, list[str]]] | Error:
    """The keys among a command's words, each with the flags of how it is used."""
    rows = dict(walk(context))
    row = rows.get(text_of(args[0]).lower())
    if row is not None and row.subcommands and len(args) > 1:
        row = rows.get(f"{row.name}|{text_of(args[1]).lower()}")
    if row is None:
        return Error("ERR Invalid command specified")
    if row.keys[0] == 0:
        return NO_KEYS
    if (len(args) != row.arity) if row.arity > 0 else (len(args) < -row.arity):
        return Error("ERR Invalid number of arguments specified for command")
    found = []
    for first, last, step, flags in key_specs(row):
        end = len(args) + last if last < 0 else first + last
        found += [(args[at], flags) for at in range(first, min(end, len(args) - 1) + 1, step)]
    return found


async def command_getkeys(context: Context, args: Sequence[bytes]) -> Reply:
    found = find_keys(context, args)
    return found if isinstance(found, Error) else [key for key, _ in found]


async def command_getkeysandflags(context: Context, args: Sequence[bytes]) -> Reply:
    found = find_keys(context, args)
    return found if isinstance(found, Error) else [[key, words(flags)] for key, flags in found]
