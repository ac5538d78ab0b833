"""Views of a Store's values and items that leave out what goes away while they are iterated over."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView


class LiveValues(ValuesView[bytes]):
    """The values of the keys that are still there when their turn comes."""

    _mapping: Mapping[bytes, bytes]

    def __iter__(self) -> Iterator[bytes]:
        for _, value in self._mapping.items():
            yield value


class LiveItems(ItemsView[bytes, bytes]):
    """The keys that are still there when their turn comes, with their values."""

    _mapping: Mapping[bytes, bytes]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self._mapping:
            value = self._mapping.get(key)
            if value is not None:
                yield key, value
