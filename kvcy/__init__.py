"""kvcy: a secure, persistent, crash-safe key-value store: server, embedded store and client.

    import kvcy

    with kvcy.open() as store:
        store[b"greeting"] = b"hello"
        store.set(b"token", b"secret", ttl=30)
        store.incr(b"visits")
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from kvcy.errors import (
    DamagedError,
    DirectoryError,
    DirectoryInUseError,
    KvcyError,
    LogError,
    ManifestError,
    ProtocolError,
    ReplyError,
    StoreClosedError,
    ValueTooLargeError,
    WrongTypeError,
)
from kvcy.version import VERSION as __version__

if TYPE_CHECKING:
    from kvcy._core import Store

__all__ = [
    "DamagedError",
    "DirectoryError",
    "DirectoryInUseError",
    "KvcyError",
    "LogError",
    "ManifestError",
    "ProtocolError",
    "ReplyError",
    "Store",
    "StoreClosedError",
    "ValueTooLargeError",
    "WrongTypeError",
    "__version__",
    "open",
]


def open(
    path: str | PathLike[str] | None = None, *, shards: int = 256, database: int = 0, appendfsync: str = "everysec"
) -> Store:
    """Opens an embedded store: in a data directory, or in this process's memory alone.

    Args:
        path: the directory, made if it is not there; None: nothing is kept when the process ends.
        shards: how many shards the keys are spread over, a power of two from 1 to 1024. A directory keeps the number
            it was made with.
        database: which of the 16 databases the mapping shows.
        appendfsync: what is on disk when a change returns: "always" the change itself; "everysec" all but the last
            second; "no" what the system has written by itself.

    Returns:
        The store: a mutable mapping of bytes to bytes, safe from any thread. It can be used in a `with` statement.
        One with a directory belongs to this process: in a fork of it, it is closed.

    Raises:
        TypeError: the path is of another type.
        ValueError: an argument is out of range.
        MemoryError: there is no memory for the shards, or for what the directory holds.
        DirectoryInUseError: another process, or another store, uses the directory.
        DirectoryError, ManifestError, DamagedError, LogError: the directory cannot be used; the message says why.
    """
    if appendfsync not in ("always", "everysec", "no"):
        raise ValueError(f"appendfsync must be always, everysec or no, not {appendfsync!r}")
    if path is None:
        from kvcy._core import Store

        return Store(shards=shards, database=database)
    if not isinstance(path, str | PathLike) or not isinstance(fspath(path), str):
        raise TypeError(f"a directory's path is a str, or a path that gives one, not {type(path).__name__}")
    from kvcy._opening import open_store

    return open_store(path, shards=shards, policy=appendfsync, database=database)


def __getattr__(name: str) -> Any:
    """Loads Store when it is first asked for: the layers below it import this package too."""
    if name == "Store":
        from kvcy._core import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
