"""A command's row: everything about a command but its handler.

A family module lists its rows in ROWS; the registry turns them into what the executor uses, and COMMAND, the ACL
categories and the command reference are made from the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Words of Redis's that COMMAND INFO shows, and those that only kvcy knows.
REDIS_FLAGS = frozenset(
    [
        "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "skip_monitor",
        "skip_slowlog", "asking", "fast", "no_auth", "may_replicate", "no_mandatory_keys", "movablekeys", "allow_busy",
        "no_multi", "no_async_loading",
    ]
)
OWN_FLAGS = frozenset(["python", "self_locking", "all_shards", "unqueued", "secret"])

# The ACL category of each group.
GROUP_CATEGORIES = {
    "string": "string",
    "generic": "keyspace",
    "connection": "connection",
    "transactions": "transaction",
    "scripting": "scripting",
    "pubsub": "pubsub",
    "server": None,
}


@dataclass(frozen=True)
class Row:
    """One command or subcommand.

    `flags` are Redis's words and kvcy's own (OWN_FLAGS). `keys` are the positions of
    the first and the last key argument and the step between keys; (0, 0, 0) is none, a negative last counts from the
    end. `key_flags` are COMMAND INFO's words for how the keys are used, `categories` ACL categories besides those that
    follow from flags and group, `syntax` the arguments as the reference shows them.
    """

    name: str
    arity: int
    flags: str = ""
    keys: tuple[int, int, int] = (0, 0, 0)
    group: str = "generic"
    since: str = "1.0.0"
    complexity: str = "O(1)"
    summary: str = ""
    syntax: str = ""
    subcommands: tuple[Row, ...] = ()
    categories: str = ""
    tips: tuple[str, ...] = ()
    key_flags: str = ""
    history: tuple[tuple[str, str], ...] = ()
    words: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = frozenset(self.flags.split())
        if unknown := words - REDIS_FLAGS - OWN_FLAGS:
            raise ValueError(f"row {self.name!r}: unknown flags {sorted(unknown)}")
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise ValueError(f"row {self.name!r}: not a lower-case command name")
        if self.arity == 0:
            raise ValueError(f"row {self.name!r}: the arity counts the name, so it is never 0")
        first, last, step = self.keys
        if (first == 0) != (step == 0) or first < 0 or step < 0 or (first == 0 and last != 0):
            raise ValueError(f"row {self.name!r}: impossible key positions {self.keys}")
        object.__setattr__(self, "words", words)

    @property
    def redis_flags(self) -> list[str]:
        """The flags that COMMAND INFO shows, in the order in which the row names them."""
        return [word for word in self.flags.split() if word in REDIS_FLAGS]

    @property
    def acl_categories(self) -> list[str]:
        """The ACL categories, without the @, by Redis's rules: from flags, from the group, and named ones."""
        found = []
        if "write" in self.words:
            found.append("write")
        if "readonly" in self.words:
            found.append("read")
        if not self.subcommands and (group := GROUP_CATEGORIES.get(self.group)):  # a container is in none
            found.append(group)
        if "admin" in self.words:
            found += ["admin", "dangerous"]
        if "pubsub" in self.words:
            found.append("pubsub")
        if "blocking" in self.words:
            found.append("blocking")
        found.append("fast" if "fast" in self.words else "slow")
        found += self.categories.split()
        return list(dict.fromkeys(found))

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Row]]:
        """This row and its subcommands, each with its full name ("client|list")."""
        name = prefix + self.name
        yield name, self
        for row in self.subcommands:
            yield from row.walk(name + "|")
