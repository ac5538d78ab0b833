"""Store's methods on keys in order: each asks for some of them by KRANGE and goes on behind the last one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kvcy._conversions import data_bytes

if TYPE_CHECKING:
    from kvcy._core import Store

    Data = bytes | bytearray | memoryview

KEYS_AT_A_TIME = 256


def key_range(
    store: Store,
    start: Data | None = None,
    stop: Data | None = None,
    *,
    reverse: bool = False,
    limit: int | None = None,
    values: bool = False,
) -> Iterator[Any]:
    """Iterates over the keys from `start` up to, and not including, `stop` in order (that of bytes objects).

    Each that is there all the time comes exactly once, whatever else changes. The first call indexes the keys, which
    takes a fraction of a microsecond a key.

    Args:
        start: where the range begins; None: with the smallest key.
        stop: where it ends; None: behind the largest key.
        reverse: the range is gone through from its end.
        limit: how many keys at most.
        values: pairs of key and value instead of keys.

    Raises:
        ValueError: the limit is negative.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"a limit is 0 or more, not {limit}")
    low = b"-" if start is None else b"[" + data_bytes(start)
    high = b"+" if stop is None else b"(" + data_bytes(stop)
    return _walk(store, low, high, reverse, limit, values)


def _walk(store: Store, low: bytes, high: bytes, reverse: bool, limit: int | None, values: bool) -> Iterator[Any]:
    options = (b"REV",) * reverse + (b"WITHVALUES",) * values
    while limit != 0:
        count = KEYS_AT_A_TIME if limit is None else min(limit, KEYS_AT_A_TIME)
        ends = (high, low) if reverse else (low, high)
        found = store.execute(b"KRANGE", *ends, b"LIMIT", 0, count, *options)
        yield from map(tuple, found) if values else found
        if len(found) < count:
            return
        limit = None if limit is None else limit - count
        last = b"(" + (found[-1][0] if values else found[-1])
        low, high = (low, last) if reverse else (last, high)


def key_prefix(
    store: Store, prefix: Data, *, reverse: bool = False, limit: int | None = None, values: bool = False
) -> Iterator[Any]:
    """Iterates over the keys that begin with `prefix` in order; arguments as for `range`."""
    prefix = data_bytes(prefix)
    raised = prefix.rstrip(b"\xff")
    stop = raised[:-1] + bytes([raised[-1] + 1]) if raised else None
    return key_range(store, prefix, stop, reverse=reverse, limit=limit, values=values)


def first_key(store: Store) -> bytes | None:
    """The smallest key; None: there is none."""
    return next(key_range(store, limit=1), None)


def last_key(store: Store) -> bytes | None:
    """The largest key; None: there is none."""
    return next(key_range(store, limit=1, reverse=True), None)
