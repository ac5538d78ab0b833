"""The registry: rows and handlers match, and every spelling of a name finds its row."""

from __future__ import annotations

import random

import pytest

from kvcy.commands import registry
from kvcy.commands.rows import OWN_FLAGS, REDIS_FLAGS, Row

ALL = [pair for top in registry.rows() for pair in top.walk()]


def test_rows_and_handlers_match() -> None:
    native = {name for name, row in ALL if "python" not in row.words and not row.subcommands}
    assert native == registry.bound()


def test_python_rows_have_no_handler() -> None:
    python = {name for name, row in ALL if "python" in row.words}
    assert python and not python & registry.bound()


def test_all_spellings_find_the_row() -> None:
    draw = random.Random(1)
    for top in registry.rows():
        spellings = {top.name, top.name.upper(), top.name.title()}
        spellings |= {"".join(draw.choice((c, c.upper())) for c in top.name) for _ in range(4)}
        for spelling in spellings:
            assert registry.lookup(spelling.encode()) == top.name


def test_neighbours_of_names_find_nothing() -> None:
    names = {top.name.encode() for top in registry.rows()}
    for name in sorted(names):
        changed = [name[:-1], name + b"x", name + b"\0", b" " + name, name + b" " * 8, name * 3]
        for at in range(len(name)):
            # Every change of one bit but that of case.
            changed += [name[:at] + bytes([name[at] ^ (1 << bit)]) + name[at + 1 :] for bit in range(8) if bit != 5]
        for other in changed:
            if other.lower() not in names:
                assert registry.lookup(other) is None, other
    assert registry.lookup(b"") is None


def test_subcommands_are_not_commands() -> None:
    assert registry.lookup(b"client|list") is None
    assert registry.lookup(b"setname") is None


def test_summaries_and_flags_are_complete() -> None:
    for name, row in ALL:
        assert row.summary.endswith("."), name
        assert row.words <= REDIS_FLAGS | OWN_FLAGS
        if row.keys[0]:
            assert "write" in row.words or "readonly" in row.words or "self_locking" in row.words, name


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([Row("nonesuch", arity=1)], "without a handler"),
        ([Row("ping", arity=1), Row("ping", arity=1)], "two rows"),
        ([Row("averyverylongname", arity=1, flags="python")], "does not take"),
        ([Row("no-letters", arity=1, flags="python")], "does not take"),
        ([Row("info", arity=2, flags="python", keys=(2, 2, 1))], "first key"),
        ([], "without a row"),
    ],
)
def test_mismatches_are_refused(rows: list[Row], text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        registry.check(rows)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "UPPER", "arity": 1},
        {"name": "x", "arity": 0},
        {"name": "x", "arity": 1, "flags": "redonly"},
        {"name": "x", "arity": 2, "keys": (1, 1, 0)},
        {"name": "x", "arity": 2, "keys": (0, 1, 0)},
    ],
)
def test_impossible_rows_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="row"):
        Row(**arguments)


def test_acl_categories_follow_flags_and_group() -> None:
    assert Row("x", arity=1, flags="write fast", group="string").acl_categories == ["write", "string", "fast"]
    assert Row("x", arity=1, flags="admin", group="server").acl_categories == ["admin", "dangerous", "slow"]
    assert Row("x", arity=1, flags="readonly python", categories="dangerous").redis_flags == ["readonly"]
