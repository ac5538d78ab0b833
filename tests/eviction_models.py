"""Eviction policies in plain Python: what the engine's are tested against, and what hit ratios are simulated with.

Each knows keys only: `insert` a new one, `use` one that is there, `remove` one, `evict` one and say which. Nothing here
is by shards: the order is that of the whole store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

USES_MAX = 3
ENTRIES_MIN = 1024  # fewer count as so many, where a time is measured in uses an entry


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


class Climb:
    """The window's share of all entries, in 65,536ths, as hill climbing finds it."""

    FIRST, MIN, MAX = 6554, 655, 58982
    STEP_FIRST = 4096

    def __init__(self) -> None:
        self.share = 0
        self.step = self.STEP_FIRST
        self.ratio: int | None = None
        self.waiting = 0  # hits since a key last came
        self.hits = 0
        self.uses = 0

    def came(self) -> None:
        self.hits += self.waiting
        self.uses += self.waiting + 1
        self.waiting = 0

    def window_max(self, entries: int) -> int:
        """Takes the next step if it is time."""
        if self.share == 0:
            self.share = self.FIRST
            self.hits = self.uses = 0
        elif self.uses >= 10 * max(entries, ENTRIES_MIN):
            self.climb(self.hits * 65536 // self.uses)
            self.hits = self.uses = 0
        return max(entries * self.share // 65536, 1)

    def climb(self, ratio: int) -> None:
        if self.ratio is not None:
            gain = ratio - self.ratio
            step = self.step if gain >= 0 else -self.step
            self.share = min(max(self.share + step, self.MIN), self.MAX)
            self.step = int(step * 98 / 100)
            if abs(gain) >= 3277:
                self.step = self.STEP_FIRST if step > 0 else -self.STEP_FIRST
        self.ratio = ratio


class TinyLfu:
    """With exact counts instead of a sketch; they are halved after ten uses an entry."""

    def __init__(self) -> None:
        self.climb = Climb()
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
        if self.additions >= 10 * max(len(self.window) + len(self.main), ENTRIES_MIN):
            self.additions //= 2
            self.counts = {key: count // 2 for key, count in self.counts.items() if count > 1}
            self.door.clear()
        self.count(key)
        self.climb.came()
        self.window[key] = 0

    def use(self, key: Hashable) -> None:
        self.count(key)
        self.climb.waiting += 1
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
        window_max = self.climb.window_max(len(self.window) + len(self.main))
        while len(self.window) > window_max + 1:
            key, uses = self.window.popitem(last=False)  # they came while there was room, or it was larger
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
