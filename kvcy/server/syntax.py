"""From a row's syntax to COMMAND DOCS's tree of arguments.

The syntax is the notation of the reference: `key value [NX | XX] [EX seconds | PERSIST] [key ...]`. Brackets are
optional, < > group alternatives, | separates them, ... repeats what stands before it, words in capitals are tokens,
others are arguments. A token followed by an argument is that argument's token. `[key [key ...]]` is an optional
argument that repeats, and so is `key [key ...]` without the option.
"""

from __future__ import annotations

import re
from typing import Any

from kvcy.server.replies import Set, Simple

Node = dict[str, Any]

_TOKEN = re.compile(r"\.\.\.|[\[\]<>|]|[^\s\[\]<>|]+")
_INTEGERS = frozenset(
    ("seconds", "milliseconds", "count", "cursor", "index", "db", "index1", "index2", "increment", "decrement")
    + ("offset", "start", "end", "client-id", "port", "destination-db", "numkeys")
)
_CLOSES = {"[": "]", "<": ">"}


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def alternatives(self, end: str) -> list[list[Node]]:
        """Sequences separated by | up to `end`."""
        found: list[list[Node]] = [[]]
        while (token := self.peek()) != end:
            if token == "":
                raise ValueError(f"{end!r} is missing")
            if token == "|":
                self.take()
                found.append([])
            else:
                self.element(found[-1])
        self.take()
        return found

    def element(self, into: list[Node]) -> None:
        """Reads one argument, token, option or group, or ... after the one before."""
        token = self.take()
        if token == "...":
            _repeat(into)
        elif token in _CLOSES:
            node = _choice(self.alternatives(_CLOSES[token]))
            if token == "[":
                if _repeats_before(into, node):
                    return
                _flag(node, "optional")
            into.append(node)
        elif token in ("]", ">", "|"):
            raise ValueError(f"{token!r} is out of place")
        elif _is_token(token):
            into.append({"name": token.lower(), "type": "pure-token", "token": token})
        else:
            into.append({"name": token, "type": _type(token)})


def _is_token(word: str) -> bool:
    return word.upper() == word and any(char.isalpha() for char in word)


def _type(name: str) -> str:
    if name.startswith(("key", "newkey")) or name in ("source", "destination"):
        return "key"
    if name in _INTEGERS:
        return "integer"
    if name.startswith("unix-time"):
        return "unix-time"
    return {"pattern": "pattern"}.get(name, "string")


def _flag(node: Node, flag: str) -> None:
    if flag not in node.setdefault("flags", []):
        node["flags"].append(flag)


def _repeat(sequence: list[Node]) -> None:
    """What stands before ... repeats; several of them do so together."""
    if not sequence:
        raise ValueError("'...' has nothing before it")
    if len(sequence) > 1:
        sequence[:] = [_block(list(sequence))]
    _flag(sequence[0], "multiple")


def _block(nodes: list[Node]) -> Node:
    return {"name": "-".join(node["name"] for node in nodes), "type": "block", "arguments": nodes}


def _choice(alternatives: list[list[Node]]) -> Node:
    nodes = [_alternative(one) for one in alternatives]
    if len(nodes) == 1:
        return nodes[0]
    return {"name": "-".join(node["name"] for node in nodes), "type": "oneof", "arguments": nodes}


def _alternative(nodes: list[Node]) -> Node:
    """One sequence as one node: a token becomes its argument's, or that of the block of its arguments."""
    if len(nodes) > 2 and _is_free_token(nodes[0]):
        return {"name": nodes[0]["name"], "type": "block", "token": nodes[0]["token"], "arguments": _join(nodes[1:])}
    nodes = _join(nodes)
    return nodes[0] if len(nodes) == 1 else _block(nodes)


def _is_free_token(node: Node) -> bool:
    return bool(node["type"] == "pure-token" and "flags" not in node)


def _join(nodes: list[Node]) -> list[Node]:
    """Gives tokens to the arguments behind them."""
    joined: list[Node] = []
    for node in nodes:
        if joined and _is_free_token(joined[-1]) and node["type"] != "pure-token" and "optional" not in _flags(node):
            node = {**node, "token": joined.pop()["token"]}
        joined.append(node)
    return joined


def _flags(node: Node) -> list[str]:
    return list(node.get("flags", []))


def _plain(node: Node) -> Node:
    return {name: value for name, value in node.items() if name != "flags"}


def _repeats_before(into: list[Node], node: Node) -> bool:
    """`key value [key value ...]`: the option only says that what stands before it may come again."""
    if node.get("flags") != ["multiple"]:
        return False
    parts = node["arguments"] if node["type"] == "block" else [node]
    size = len(parts)
    if [_plain(one) for one in into[-size:]] != [_plain(one) for one in parts]:
        return False
    into[-size:] = [node]
    return True


def arguments(syntax: str, *, key_specs: int = 1) -> list[Node]:
    """The arguments' nodes, as COMMAND DOCS shows them; the command has so many key specs, in the order of its keys.
    Raises ValueError for a syntax that cannot be read."""
    reader = _Reader(syntax)
    nodes: list[Node] = []
    while reader.peek():
        reader.element(nodes)
    nodes = _join(nodes)
    specs = list(range(key_specs))
    for node in nodes:
        _finish(node, specs)
    return nodes


def _finish(node: Node, specs: list[int]) -> None:
    """Key arguments name their key spec, the last of which serves all that are left; flags become a set."""
    if node["type"] == "key":
        if specs:
            node["key_spec_index"] = specs.pop(0) if len(specs) > 1 else specs[0]
        else:
            node["type"] = "string"
    for inner in node.get("arguments", []):
        _finish(inner, specs)
    if "flags" in node:
        node["flags"] = Set([Simple(flag) for flag in node["flags"]])
