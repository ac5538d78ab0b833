"""The engine under several threads: readers that prefetch without locks, writers, walkers, whole-keyspace commands.

Here it is seen whether anything impossible is read; tests/tsan/run plays the same under ThreadSanitizer.
"""

from __future__ import annotations

import threading

import pytest

from probes import quiet_probe
from probes.race_probe import Race

TURNS = {"reader": 2000, "writer": 20_000, "pairs": 5000, "whole": 200, "walker": 10_000, "watcher": 3000}


def play(parts: list[str], scale: float = 1.0) -> dict[str, int]:
    """Play the parts at once, a thread each; what each of them saw wrong."""
    race = Race()
    wrong: dict[str, int] = {}
    start = threading.Barrier(len(parts))

    def run(part: str, seed: int) -> None:
        start.wait()
        wrong[f"{part} {seed}"] = race.play(part, seed, int(TURNS[part] * scale))

    threads = [threading.Thread(target=run, args=(part, seed)) for seed, part in enumerate(parts, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


GAMES = [
    ["reader", "writer"],
    ["reader", "reader", "writer", "writer"],
    ["reader", "writer", "whole"],
    ["pairs", "pairs", "pairs", "writer"],
    ["walker", "writer", "whole"],
    ["watcher", "watcher", "writer", "whole"],
    ["reader", "writer", "pairs", "whole", "walker", "watcher"],
]


@pytest.mark.parametrize("parts", GAMES, ids="-".join)
def test_nothing_impossible_is_seen(parts: list[str]) -> None:
    wrong = play(parts)
    assert len(wrong) == len(parts) and not any(wrong.values()), wrong


def test_closing_waits_for_who_may_still_look() -> None:
    """Flushed partitions are in the hands of quiet.pyx, which waits for a thread that has nothing to do with them."""
    thread = quiet_probe.register()
    quiet_probe.enter(thread)
    race = Race()
    race.play("writer", 1, 500)
    race.play("whole", 1, 8)
    assert quiet_probe.waiting() > 0
    closer = threading.Thread(target=race.close)
    closer.start()
    quiet_probe.leave(thread)
    closer.join()
    quiet_probe.unregister(thread)
    assert quiet_probe.waiting() == 0
