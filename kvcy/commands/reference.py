"""Makes the command reference, docs/commands.md, from the rows.

    python -m kvcy.commands.reference            prints the page
    python -m kvcy.commands.reference FILE       writes it there

A test compares the committed page with what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from kvcy.commands.registry import rows
from kvcy.commands.rows import Row

INTRODUCTION = """\
# Commands

Made by `python -m kvcy.commands.reference docs/commands.md` from the rows in `kvcy/commands/`; do not edit.

kvcy's commands have the names, options, replies and error texts of Redis 7.2. Each is listed with the version of Redis
that brought it, what it costs, its flags and its ACL categories. Words in capitals are typed as they are (in any case),
others stand for a value; `[...]` may be left out, `|` separates alternatives, `...` repeats.
"""

# The groups in the order of the page, each with its heading.
GROUPS = {
    "string": "Strings",
    "generic": "Keys of any type",
    "transactions": "Transactions",
    "connection": "Connections",
    "server": "Server",
}


def usage(name: str, row: Row) -> str:
    """How the command is typed."""
    return " ".join(filter(None, (name.replace("|", " ").upper(), row.syntax)))


def entry(name: str, row: Row, heading: str) -> list[str]:
    """The lines about one command or subcommand."""
    lines = [f"{heading} {name.replace('|', ' ').upper()}", "", f"    {usage(name, row)}", ""]
    lines += [row.summary, ""]
    since = "kvcy's own, since" if row.since.startswith("0.") else "Since Redis"
    facts = [f"- {since} {row.since}. Cost: {row.complexity.rstrip('.')}."]
    if row.redis_flags:
        facts.append(f"- Flags: {', '.join(row.redis_flags)}.")
    facts.append(f"- Categories: {', '.join('@' + category for category in row.acl_categories)}.")
    facts += [f"- Since {version}: {change}" for version, change in row.history]
    return [*lines, *facts, ""]


def section(title: str, members: Iterable[Row]) -> list[str]:
    """The lines about one group. A container without an effect of its own shows its subcommands only."""
    lines = [f"## {title}", ""]
    for top in sorted(members, key=lambda row: row.name):
        if not top.subcommands:
            lines += entry(top.name, top, "###")
            continue
        lines += [f"### {top.name.upper()}", "", top.summary, ""]
        if top.arity == -1:  # COMMAND works alone, too
            lines += entry(top.name, top, "####")
        for name, row in sorted(top.walk(), key=lambda pair: pair[0]):
            if row is not top:
                lines += entry(name, row, "####")
    return lines


def contents(members: Iterable[Row]) -> str:
    """Links to the commands of a group, in one line."""
    return " · ".join(f"[{row.name.upper()}](#{row.name})" for row in sorted(members, key=lambda row: row.name))


def page(all_rows: Iterable[Row]) -> str:
    """The whole page."""
    groups: dict[str, list[Row]] = {group: [] for group in GROUPS}
    for row in all_rows:
        groups.setdefault(row.group, []).append(row)
    filled = {GROUPS.get(group, group.title()): members for group, members in groups.items() if members}
    lines = [INTRODUCTION]
    lines += [f"- {title}: {contents(members)}" for title, members in filled.items()]
    lines.append("")
    for title, members in filled.items():
        lines += section(title, members)
    return "\n".join(lines).rstrip("\n") + "\n"


def main(arguments: list[str]) -> None:
    """Print the page, or write it to the file named."""
    text = page(rows())
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
