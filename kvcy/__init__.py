"""kvcy: a secure, persistent, crash-safe key-value store: server, embedded store and client.

    import kvcy

    with kvcy.open() as store:
        store[b"greeting"] = b"hello"
        store.set(b"token", b"secret", ttl=30)
        store.incr(b"visits")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcy.errors import KvcyError, ProtocolError, ReplyError, StoreClosedError, ValueTooLargeError, WrongTypeError
from kvcy.version import VERSION as __version__

if TYPE_CHECKING:
    from kvcy._core import Store

__all__ = [
    "KvcyError",
    "ProtocolError",
    "ReplyError",
    "Store",
    "StoreClosedError",
    "ValueTooLargeError",
    "WrongTypeError",
    "__version__",
    "open",
]


def open(*, shards: int = 256, database: int = 0) -> Store:
    """Opens an embedded store in this process's memory.

    Args:
        shards: how many shards the keys are spread over, a power of two from 1 to 1024.
        database: which of the 16 databases the mapping shows.

    Returns:
        The store: a mutable mapping of bytes to bytes, safe from any thread. It can be used in a `with` statement.

    Raises:
        ValueError: an argument is out of range.
        MemoryError: there is no memory for the shards.
    """
    from kvcy._core import Store

    return Store(shards=shards, database=database)


def __getattr__(name: str) -> Any:
    """Loads Store when it is first asked for: the layers below it import this package too."""
    if name == "Store":
        from kvcy._core import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
