"""Encoding Python values as RESP2 and RESP3 replies, for the commands that are answered in Python.

    None            null               int     integer (64 bits)       bool    boolean (RESP2: 1 or 0)
    str, bytes      bulk string        float   double (RESP2: bulk)    list    array
    dict            map (RESP2: array) Set     set (RESP2: array)      Simple, Error, Verbatim, Encoded: as named
Text is UTF-8 with surrogateescape, so bytes that came in through options go out as they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Simple:
    """A simple string, such as OK; one line."""

    text: str


@dataclass(frozen=True)
class Error:
    """An error reply, its code included: "ERR syntax error". Line ends become blanks."""

    text: str


@dataclass(frozen=True)
class Verbatim:
    """Text that a RESP3 client may show as it is; a bulk string in RESP2."""

    text: str
    kind: str = "txt"


@dataclass(frozen=True)
class Set:
    """A set, in the order given; an array in RESP2."""

    items: Sequence[Reply]


@dataclass(frozen=True)
class Encoded:
    """A reply that is encoded already."""

    data: bytes


@dataclass(frozen=True)
class Close:
    """No reply: the connection is closed."""


Reply: TypeAlias = (
    "bool | int | float | str | bytes | Simple | Error | Verbatim | Set | Encoded | Close"
    " | Sequence[Reply] | Mapping[str, Reply] | Mapping[bytes, Reply] | Mapping[int, Reply] | None"
)

OK = Simple("OK")
SYNTAX_ERROR = Error("ERR syntax error")


def encode(reply: Reply, protocol: int) -> bytes:
    """The reply's bytes for a session of this protocol (2 or 3)."""
    out = bytearray()
    _encode(out, reply, protocol >= 3)
    return bytes(out)


def _encode(out: bytearray, reply: Reply, resp3: bool) -> None:
    match reply:
        case None:
            out += b"_\r\n" if resp3 else b"$-1\r\n"
        case bool():
            out += (b"#t\r\n" if reply else b"#f\r\n") if resp3 else (b":1\r\n" if reply else b":0\r\n")
        case int():
            out += b":%d\r\n" % reply
        case float():
            text = format_double(reply)
            if resp3:
                out += f",{text}\r\n".encode()
            else:
                _bulk(out, text.encode())
        case str():
            _bulk(out, reply.encode("utf-8", "surrogateescape"))
        case bytes():
            _bulk(out, reply)
        case Simple() | Error():
            out += b"+" if isinstance(reply, Simple) else b"-"
            out += reply.text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape") + b"\r\n"
        case Verbatim():
            text_bytes = reply.text.encode("utf-8", "surrogateescape")
            if resp3:
                assert len(reply.kind) == 3
                out += b"=%d\r\n%b:%b\r\n" % (len(text_bytes) + 4, reply.kind.encode(), text_bytes)
            else:
                _bulk(out, text_bytes)
        case Encoded():
            out += reply.data
        case _:
            _encode_many(out, reply, resp3)


def _encode_many(out: bytearray, reply: Reply, resp3: bool) -> None:
    if isinstance(reply, Mapping):
        out += b"%%%d\r\n" % len(reply) if resp3 else b"*%d\r\n" % (2 * len(reply))
        for name, value in reply.items():
            _encode(out, name, resp3)
            _encode(out, value, resp3)
    elif isinstance(reply, Set | Sequence):
        items = reply.items if isinstance(reply, Set) else reply
        out += b"%c%d\r\n" % (b"~" if resp3 and isinstance(reply, Set) else b"*", len(items))
        for item in items:
            _encode(out, item, resp3)
    else:
        raise TypeError(f"no reply can be made of {type(reply).__name__}")


def _bulk(out: bytearray, data: bytes) -> None:
    out += b"$%d\r\n%b\r\n" % (len(data), data)


def format_double(number: float) -> str:
    """The shortest text that reads back as the same number."""
    if math.isnan(number):
        return "nan"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == int(number) and abs(number) < 1e17:
        return str(int(number))
    return repr(number)
