"""COMMAND and its subcommands, and how the rows compare with what redis-server says of the same commands."""

from __future__ import annotations

from typing import Any

import pytest
import redis_server
from admin_fakes import Admin

from kvcy.commands.registry import rows
from kvcy.server.replies import SYNTAX_ERROR, Error, Set, Simple, encode
from kvcy.server.syntax import arguments

# What Redis 7.2 says of a command where Debian's redis-server (7.0) says something else, and what kvcy means to differ
# in: name -> {element of COMMAND INFO: reason}.
_NEW = "since Redis 7.2"
_OWN = "a command of kvcy's own"
_ASKS_ALL = "Redis 7.2 asks all nodes of a cluster"
INTENDED: dict[str, dict[str, str]] = {
    "client|no-touch": {"name": _NEW},
    "client|setinfo": {"name": _NEW},
    "command|getkeys": {"arity": "a command without arguments is a legal question in Redis 7.2"},
    "command|getkeysandflags": {"arity": "a command without arguments is a legal question in Redis 7.2"},
    "config|resetstat": {"tips": _ASKS_ALL},
    "config|rewrite": {"tips": _ASKS_ALL},
    "krange": {"name": _OWN},
    "kcount": {"name": _OWN},
    "kdel": {"name": _OWN},
    "latency|reset": {"tips": "the replies are counts, which a cluster's client has to add up"},
}


@pytest.fixture(scope="module")
def admin() -> Admin:
    return Admin(rows=rows())


def values(reply: Any) -> list[Any]:
    assert isinstance(reply, Set | list)
    return list(reply.items if isinstance(reply, Set) else reply)


def names(admin: Admin) -> list[str]:
    return [name for row in admin.state.rows for name, _ in row.walk()]


def test_count_list_and_info_agree(admin: Admin) -> None:
    top = [row.name for row in admin.state.rows]
    assert admin("command|count") == len(top)
    assert values(admin("command|list")) == top
    everything = values(admin("command"))
    assert [one[0] for one in everything] == top
    assert values(admin("command|info")) == everything


def test_info_of_some(admin: Admin) -> None:
    get, nothing, config_get = values(admin("command|info", "GET", "nosuch", "config|get"))
    assert nothing is None and config_get[0] == "config|get"
    begin = {"type": "index", "spec": {"index": 1}}
    found = {"type": "range", "spec": {"lastkey": 0, "keystep": 1, "limit": 0}}
    flags = Set([Simple("RO"), Simple("access")])
    assert get == [
        "get", 2, Set([Simple("readonly"), Simple("fast")]), 1, 1, 1,
        Set([Simple("@read"), Simple("@string"), Simple("@fast")]), Set([]),
        Set([{"flags": flags, "begin_search": begin, "find_keys": found}]), Set([]),
    ]  # fmt: skip


def test_docs(admin: Admin) -> None:
    docs: Any = admin("command|docs", "set", "nosuch", "config")
    assert list(docs) == ["set", "config"]
    assert docs["set"]["group"] == "string" and docs["set"]["since"] == "1.0.0"
    assert docs["set"]["arguments"][0] == {"name": "key", "type": "key", "key_spec_index": 0}
    assert "config|get" in docs["config"]["subcommands"]


def test_every_row_is_documented(admin: Admin) -> None:
    for row in admin.state.rows:
        for name, one in row.walk():
            assert one.summary.endswith("."), name
            assert one.complexity and one.since and one.group, name
            arguments(one.syntax)


def test_list_filters(admin: Admin) -> None:
    assert values(admin("command|list", "FILTERBY", "pattern", "slow*")) == [
        "slowlog", "slowlog|get", "slowlog|len", "slowlog|reset", "slowlog|help",
    ]  # fmt: skip
    dangerous = values(admin("command|list", "filterby", "aclcat", "dangerous"))
    assert "config|set" in dangerous and "get" not in dangerous
    assert values(admin("command|list", "filterby", "module", "x")) == []
    for words in (["x"], ["filterby", "foo", "x"], ["filterby", "pattern", "x", "y"]):
        assert admin("command|list", *words) == SYNTAX_ERROR


def test_getkeys(admin: Admin) -> None:
    assert admin("command|getkeys", "MSET", "a", "1", "b", "2") == [b"a", b"b"]
    assert admin("command|getkeys", "object", "encoding", "a") == [b"a"]
    assert admin("command|getkeysandflags", "get", "a") == [[b"a", Set([Simple("RO"), Simple("access")])]]
    assert admin("command|getkeys", "nosuch", "a") == Error("ERR Invalid command specified")
    assert admin("command|getkeys", "dbsize", "a") == Error("ERR The command has no key arguments")
    assert admin("command|getkeys", "get", "a", "b") == Error("ERR Invalid number of arguments specified for command")


def test_help(admin: Admin) -> None:
    assert Simple("COUNT") in values(admin("command|help"))


@pytest.mark.parametrize(
    ("syntax", "shape"),
    [
        ("", []),
        ("key [key ...]", [("key", ["multiple"])]),
        ("[key ...]", [("key", ["multiple", "optional"])]),
        ("[NX | XX] [GET]", [("nx-xx", ["optional"]), ("get", ["optional"])]),
        ("key value [key value ...]", [("key-value", ["multiple"])]),
        ("[MATCH pattern]", [("pattern", ["optional"])]),
    ],
)
def test_syntax(syntax: str, shape: list[tuple[str, list[str]]]) -> None:
    found = arguments(syntax)
    assert [
        (one["name"], [flag.text for flag in one["flags"].items] if "flags" in one else []) for one in found
    ] == shape


def test_tokens_belong_to_their_arguments() -> None:
    (choice,) = arguments("[EX seconds | PERSIST | AUTH username password]")
    assert choice["type"] == "oneof"
    seconds, persist, auth = choice["arguments"]
    assert seconds == {"name": "seconds", "type": "integer", "token": "EX"}
    assert persist == {"name": "persist", "type": "pure-token", "token": "PERSIST"}
    assert auth["token"] == "AUTH" and [one["name"] for one in auth["arguments"]] == ["username", "password"]


def test_keys_name_their_specs() -> None:
    first, second = arguments("key newkey", key_specs=2)
    assert (first["key_spec_index"], second["key_spec_index"]) == (0, 1)
    assert [one["key_spec_index"] for one in arguments("key key", key_specs=1)] == [0, 0]
    assert arguments("key", key_specs=0) == [{"name": "key", "type": "string"}]


@pytest.mark.parametrize("syntax", ["[key", "key]", "...", "<a | b"])
def test_bad_syntax(syntax: str) -> None:
    with pytest.raises(ValueError):
        arguments(syntax)


# --- against redis-server


def decode(reply: bytes) -> Any:
    """A RESP2 reply as Python values; names and flags as text."""
    value, rest = decode_one(reply)
    assert rest == b""
    return value


def decode_one(data: bytes) -> tuple[Any, bytes]:
    head, rest = data.split(b"\r\n", 1)
    kind, text = head[:1], head[1:]
    if kind == b"*":
        items = []
        for _ in range(max(int(text), 0)):
            item, rest = decode_one(rest)
            items.append(item)
        return (None if text == b"-1" else items), rest
    if kind == b"$":
        size = int(text)
        return (None, rest) if size < 0 else (rest[:size].decode(), rest[size + 2 :])
    return (int(text) if kind == b":" else text.decode()), rest


ELEMENTS = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs")


def comparable(info: list[Any]) -> dict[str, Any]:
    """COMMAND INFO's elements without the subcommands and the key specs' notes, sets in one order."""
    found = dict(zip(ELEMENTS, info, strict=False))
    found["key specs"] = [spec[2:] if spec[0] == "notes" else spec for spec in found["key specs"]]
    for name in ("flags", "categories", "tips"):
        found[name] = sorted(found[name])
    return found


def test_rows_say_what_redis_says(admin: Admin) -> None:
    asked = names(admin)
    ours = decode(encode(admin("command|info", *asked), 2))
    with redis_server.running() as connection:
        theirs = decode(connection.run([["command", "info", *asked]])[0])
    differences: dict[str, dict[str, Any]] = {}
    for name, mine, other in zip(asked, ours, theirs, strict=True):
        if other is None:
            differences[name] = {"name": "unknown to redis-server"}
            continue
        mine, other = comparable(mine), comparable(other)
        found = {element: (mine[element], other[element]) for element in ELEMENTS if mine[element] != other[element]}
        if found:
            differences[name] = found
    for name, intended in INTENDED.items():
        for element in intended:
            assert element in differences.get(name, {}), f"{name}: {element} does not differ any more"
            del differences[name][element]
    left = {name: found for name, found in differences.items() if found}
    assert not left, "\n".join(f"{name}: {found}" for name, found in left.items())
