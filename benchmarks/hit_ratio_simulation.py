"""Simulates hit ratios of cache traces: exact LRU, the optimum, and the policies as they are modelled for the tests.

Run: `python benchmarks/hit_ratio_simulation.py TRACE.txt.gz ... [--shares 0.05 0.1] [--policies lru sieve]`. A trace is
a text file, plain or compressed, with one key a line, in the order of the requests. A cache holds so many keys, a share
of the trace's distinct ones; a miss puts the key there. "optimum" evicts what is next requested the latest (Belady,
1966), which needs to know the future. Prints a table in Markdown; the whole takes minutes.

Limits: every key counts the same, whatever its size.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
from collections.abc import Callable, Sequence
from pathlib import Path

import tests_path  # noqa: F401

# isort: split
from eviction_models import Lru, S3Fifo, Sieve, TinyLfu

NEVER = 1 << 60
MODELS: dict[str, Callable[[], Lru | S3Fifo | Sieve | TinyLfu]] = {
    "lru": Lru,
    "sieve": Sieve,
    "s3fifo": S3Fifo,
    "tinylfu": TinyLfu,
}


def load(path: Path) -> list[int]:
    """The trace's keys, numbered in the order of their first request."""
    numbers: dict[bytes, int] = {}
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return [numbers.setdefault(line.strip(), len(numbers)) for line in file]


def optimum(trace: Sequence[int], capacity: int) -> float:
    """The share of hits of a cache of `capacity` keys that knows the future."""
    again = [NEVER] * len(trace)
    last: dict[int, int] = {}
    for at in range(len(trace) - 1, -1, -1):
        again[at] = last.get(trace[at], NEVER)
        last[trace[at]] = at
    cached: dict[int, int] = {}  # when it is requested again
    latest: list[tuple[int, int]] = []
    hits = 0
    for at, key in enumerate(trace):
        if key in cached:
            hits += 1
        elif len(cached) >= capacity:
            while True:
                when, victim = heapq.heappop(latest)
                if cached.get(victim) == -when:
                    break
            del cached[victim]
        cached[key] = again[at]
        heapq.heappush(latest, (-again[at], key))
    return hits / len(trace)


def simulate(trace: Sequence[int], capacity: int, policy: Lru | S3Fifo | Sieve | TinyLfu) -> float:
    """The share of hits of a cache of `capacity` keys."""
    cached: set[int] = set()
    hits = 0
    for key in trace:
        if key in cached:
            hits += 1
            policy.use(key)
            continue
        if len(cached) >= capacity:
            cached.remove(policy.evict())
        policy.insert(key)
        cached.add(key)
    return hits / len(trace)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+", type=Path)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--policies", nargs="+", choices=list(MODELS), default=list(MODELS))
    arguments = parser.parse_args()
    print(f"| trace | keys cached | {' | '.join(arguments.policies)} | optimum |")
    print("|---|---|" + "---|" * (len(arguments.policies) + 1))
    for path in arguments.traces:
        trace = load(path)
        for share in arguments.shares:
            capacity = max(int((max(trace) + 1) * share), 2)
            ratios = [simulate(trace, capacity, MODELS[name]()) for name in arguments.policies]
            cells = " | ".join(f"{100 * ratio:.1f}" for ratio in (*ratios, optimum(trace, capacity)))
            print(f"| {path.name.partition('.')[0]} | {share:.0%} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
