"""The command reference: the committed page is what the rows give, and the page says what the rows say."""

from __future__ import annotations

import pytest

from kvcy.commands import reference
from kvcy.commands.registry import rows
from kvcy.commands.rows import Row
from source_tree import ROOT


def test_committed_page_is_current() -> None:
    committed = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert committed == reference.page(rows()), "run: python -m kvcy.commands.reference docs/commands.md"


def test_every_row_is_documented() -> None:
    bare = [name for top in rows() for name, row in top.walk() if not row.summary.endswith(".") or not row.complexity]
    assert bare == []


def test_every_command_that_takes_arguments_shows_them() -> None:
    """A name is one word (two for a subcommand); what the arity asks for beyond must be in the syntax."""
    bare = [
        name
        for top in rows()
        for name, row in top.walk()
        if not row.subcommands and not row.syntax and abs(row.arity) > 1 + name.count("|")
    ]
    assert bare == []


def test_page_of_two_groups() -> None:
    get = Row(
        "get", arity=2, flags="readonly fast", keys=(1, 1, 1), group="string", summary="Returns it.", syntax="key"
    )
    box = Row(
        "box",
        arity=-2,
        group="server",
        summary="Holds.",
        subcommands=(Row("open", arity=2, summary="Opens.", group="server"),),
    )
    text = reference.page([box, get])
    assert text.index("## Strings") < text.index("### GET") < text.index("## Server") < text.index("#### BOX OPEN")
    assert "    GET key\n\nReturns it.\n" in text
    assert "- Strings: [GET](#get)\n- Server: [BOX](#box)\n" in text


def test_main_prints_or_writes(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    reference.main([])
    printed = capsys.readouterr().out
    reference.main([f"{tmp_path}/page.md"])
    with open(f"{tmp_path}/page.md", encoding="utf-8") as file:
        assert file.read() == printed == reference.page(rows())
