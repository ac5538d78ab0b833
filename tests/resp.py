"""Requests and replies as bytes: encode commands, cut a stream into raw replies, show a reply in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def encode(command: Iterable[bytes | str]) -> bytes:
    """The command as an array of bulk strings."""
    words = [word.encode() if isinstance(word, str) else word for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def reply_end(data: bytes, start: int) -> int:
    """Where the RESP2 or RESP3 reply that starts at `start` ends; -1 when it is not whole."""
    end = data.find(b"\r\n", start) + 2
    if end < 2:
        return -1
    kind = data[start : start + 1]
    if kind in b"+-:_#,(":
        return end
    count = int(data[start + 1 : end - 2])
    if kind in b"$=!":
        end += count + 2 if count >= 0 else 0
        return end if end <= len(data) else -1
    if kind not in b"*%~>":
        raise ValueError(f"no reply starts with {data[start : start + 20]!r}")
    for _ in range(2 * count if kind == b"%" else count):
        end = reply_end(data, end) if end >= 0 else -1
    return end


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole raw replies at the start of `data`, and what is left."""
    replies = []
    start = 0
    while start < len(data) and (end := reply_end(data, start)) >= 0:
        replies.append(data[start:end])
        start = end
    return replies, data[start:]


def show(reply: bytes) -> str:
    """A raw reply in one line: +OK, -ERR ..., :1, "bulk", nil, [elements]."""
    head, _, rest = reply.partition(b"\r\n")
    if head in (b"$-1", b"*-1", b"_"):
        return "nil"
    if head[:1] == b"$":
        return '"' + "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in rest[:-2]) + '"'
    if head[:1] == b"*":
        return "[" + ", ".join(show(element) for element in elements(rest)) + "]"
    return head.decode()


def elements(data: bytes) -> Sequence[bytes]:
    """The raw replies that `data` is made of."""
    replies, left = split(data)
    if left:
        raise ValueError(f"not a whole number of replies: {left!r} is left")
    return replies
