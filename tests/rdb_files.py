"""Redis dumps for tests: put together by hand, or made by a redis-server."""

from __future__ import annotations

from pathlib import Path

from redis_server import Connection

from kvcy.tools.source import crc64_of

END = 255


def length(number: int) -> bytes:
    if number < 64:
        return bytes([number])
    if number < 1 << 14:
        return bytes([64 | number >> 8, number & 255])
    if number < 1 << 32:
        return b"\x80" + number.to_bytes(4, "big")
    return b"\x81" + number.to_bytes(8, "big")


def text(data: bytes) -> bytes:
    return length(len(data)) + data


def rdb(body: bytes, version: int = 11, checksum: bool = True) -> bytes:
    """A whole file with this between its header and its end."""
    data = b"REDIS%04d" % version + body + bytes([END])
    if version < 5:
        return data
    return data + (crc64_of(data) if checksum else 0).to_bytes(8, "little")


def saved(connection: Connection) -> Path:
    """Where the redis-server has written its dump."""
    assert connection.run([["SAVE"]]) == [b"+OK\r\n"]
    (reply,) = connection.run([["CONFIG", "GET", "dir"]])
    return Path(reply.split(b"\r\n")[4].decode()) / "dump.rdb"
