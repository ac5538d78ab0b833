"""What tests/tsan/run plays under ThreadSanitizer, without pytest: the fewer uninstrumented threads, the better."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial

from probes import quiet_probe, rwlock_probe
from probes.race_probe import Race

TURNS = {"reader": 300, "writer": 4000, "pairs": 1500, "whole": 60, "walker": 2000, "watcher": 800}
GAMES = [
    "reader writer",
    "reader reader writer writer",
    "reader writer whole",
    "pairs pairs pairs writer",
    "walker writer whole",
    "watcher watcher writer whole",
    "reader writer pairs whole walker watcher",
]


def at_once(jobs: list[Callable[[], int]]) -> list[int]:
    """Run the jobs, a thread each; what they answered."""
    answers: list[int] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], int]) -> None:
        start.wait()
        answers.append(job())

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(jobs)
    return answers


def race() -> int:
    """A data race, to see that one is reported."""
    lock = rwlock_probe.LockProbe()
    return sum(at_once([lambda: sum(lock.race_turns(1_000_000) for _ in range(20))] * 2))


def main() -> int:
    """Play everything; 1 when something impossible was read."""
    if sys.argv[1:] == ["race"]:
        return race()
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    wrong = 0
    for game in GAMES:
        play = Race().play
        parts = enumerate(game.split(), 1)
        wrong += sum(at_once([partial(play, part, seed, int(TURNS[part] * scale)) for seed, part in parts]))
        print("played", game, flush=True)
    lock = rwlock_probe.LockProbe()
    turns = int(3000 * scale)
    wrong += sum(
        at_once(
            [lambda: lock.turns("read", turns)] * 2
            + [lambda: lock.turns("write", turns)] * 2
            + [lambda: lock.turns("leaf", turns)] * 2
        )
    )
    quiet_probe.start_reading()
    numbers = [quiet_probe.register() for _ in range(2)]
    readers = [lambda n=n: quiet_probe.read(n, turns) for n in numbers]
    wrong += sum(at_once([*readers, lambda: 0 * quiet_probe.replace(turns)]))
    print(f"{wrong} impossible reads")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
