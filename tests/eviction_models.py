"""Eviction policies in plain Python: what the engine's are tested against, and what hit ratios are simulated with.

Each knows keys only: `insert` a new one, `use` one that is there, `remove` one, `evict` one and say which. Nothing here
is by shards: the order is that of the whole store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

USES_MAX = 3


class Lru:
    def __init__(self) -> None:
        self.keys: OrderedDict[Hashable, None] = OrderedDict()

    def insert(self, key: Hashable) -> None:
        self.keys[key] = None

    def use(self, key: Hashable) -> None:
        self.keys.move_to_end(key)

    def remove(self, key: Hashable) -> None:
        del self.keys[key]

    def evict(self) -> Hashable:
        return self.keys.popitem(last=False)[0]


class Sieve:
    """The queue and its hand, as two queues: what is ahead of the hand, and what it has passed."""

    def __init__(self) -> None:
        self.ahead: OrderedDict[Hashable, bool] = OrderedDict()  # oldest first: whether it was used
        self.passed: OrderedDict[Hashable, bool] = OrderedDict()

    def __len__(self) -> int:
        return len(self.ahead) + len(self.passed)

    def insert(self, key: Hashable) -> None:
        self.ahead[key] = False

    def use(self, key: Hashable) -> None:
        (self.ahead if key in self.ahead else self.passed)[key] = True

    def remove(self, key: Hashable) -> None:
        del (self.ahead if key in self.ahead else self.passed)[key]

    def victim(self) -> Hashable:
        """Sweeps up to the next one; it stays."""
        while True:
            if not self.ahead:
                self.ahead, self.passed = self.passed, self.ahead
            key, used = next(iter(self.ahead.items()))
            if not used:
                return key
            del self.ahead[key]
            self.passed[key] = False

    def evict(self) -> Hashable:
        key = self.victim()
        del self.ahead[key]
        return key


class S3Fifo:
    def __init__(self) -> None:
        self.small: OrderedDict[Hashable, int] = OrderedDict()  # oldest first: uses
        self.main: OrderedDict[Hashable, int] = OrderedDict()
        self.ghosts: dict[Hashable, int] = {}  # the number of its departure
        self.departed = 0

    def insert(self, key: Hashable) -> None:
        gone = self.ghosts.pop(key, None)
        known = gone is not None and self.departed - gone < len(self.small) + len(self.main)
        (self.main if known else self.small)[key] = 0

    def use(self, key: Hashable) -> None:
        queue = self.small if key in self.small else self.main
        queue[key] = min(queue[key] + 1, USES_MAX)

    def remove(self, key: Hashable) -> None:
        del (self.small if key in self.small else self.main)[key]

    def evict(self) -> Hashable:
        while True:
            if not self.main or 10 * len(self.small) >= len(self.small) + len(self.main):
                key, uses = self.small.popitem(last=False)
                if uses < 2:
                    self.departed += 1
                    self.ghosts[key] = self.departed
                    return key
                self.main[key] = 0
            else:
                key, uses = self.main.popitem(last=False)
                if uses == 0:
                    return key
                self.main[key] = uses - 1


class TinyLfu:
    """With exact counts instead of a sketch; they are halved after ten uses an entry, `entries_min` at least."""

    def __init__(self, entries_min: int = 1000) -> None:
        self.entries_min = entries_min
        self.window: OrderedDict[Hashable, int] = OrderedDict()  # oldest first: uses
        self.main = Sieve()
        self.door: set[Hashable] = set()
        self.counts: dict[Hashable, int] = {}
        self.additions = 0

    def count(self, key: Hashable) -> None:
        self.additions += 1
        if key in self.door:
            self.counts[key] = min(self.counts.get(key, 0) + 1, 15)
        else:
            self.door.add(key)

    def frequency(self, key: Hashable) -> int:
        return self.counts.get(key, 0) + (key in self.door)

    def insert(self, key: Hashable) -> None:
        if self.additions >= 10 * max(len(self.window) + len(self.main), self.entries_min):
            self.additions //= 2
            self.counts = {key: count // 2 for key, count in self.counts.items() if count > 1}
            self.door.clear()
        self.count(key)
        self.window[key] = 0

    def use(self, key: Hashable) -> None:
        self.count(key)
        if key in self.window:
            self.window[key] = min(self.window[key] + 1, USES_MAX)
        else:
            self.main.use(key)

    def remove(self, key: Hashable) -> None:
        if key in self.window:
            del self.window[key]
        else:
            self.main.remove(key)

    def evict(self) -> Hashable:
        window_max = max((len(self.window) + len(self.main)) // 100, 1)
        while len(self.window) > window_max + 1:
            key, uses = self.window.popitem(last=False)  # they came while there was room
            self.main.ahead[key] = uses > 0
        if len(self.main) and len(self.window) <= window_max:
            return self.main.evict()
        if not len(self.main):
            return self.window.popitem(last=False)[0]
        rival = self.frequency(self.main.victim())
        key, uses = self.window.popitem(last=False)
        if uses < 2 and self.frequency(key) <= rival:
            return key
        evicted = self.main.victim()
        self.main.insert(key)
        self.main.remove(evicted)
        return evicted
