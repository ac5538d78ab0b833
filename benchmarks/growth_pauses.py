"""How long single SETs take while a keyspace grows: the histogram of their times, the longest, those above 1 ms.

Run: `python benchmarks/growth_pauses.py [--keys N]`.

It fills the engine three times, one thread, and times each operation: once by the clock on the wall, twice by the CPU
time of the thread. On a machine that does other things the first has the scheduler's pauses in it, which no engine can
help; the others have what the operation itself did, page faults in the kernel included. A virtual machine's host may
still take time that is counted as the thread's. What growth causes, however, happens at the same operation each time,
as keys and hashes are the same: the last line counts those that were above 1 ms in every run.

Reading the CPU clock is a system call, so the small times by it are too long by what that takes, often more than 1 us.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter
from typing import Any

from tests_path import build_probes


def load_class() -> Any:
    """The probe's class, built first if need be."""
    build_probes()
    from probes.engine_load_probe import Load

    return Load


def duration(ns: int) -> str:
    """A time in the unit that suits it."""
    if ns < 10_000:
        return f"{ns} ns"
    return f"{ns / 1000:.1f} us" if ns < 10_000_000 else f"{ns / 1_000_000:.1f} ms"


def describe(clock: str, histogram: dict[int, int], longest_ns: int, slow: int) -> str:
    """The text about one run; `histogram` maps upper bounds in ns to operations."""
    operations = sum(histogram.values())
    lines = [f"By {clock}:"]
    seen = 0
    for bound, count in sorted(histogram.items()):
        seen += count
        lines.append(f"  below {duration(bound):>9}  {count:>10}  {seen / operations:>11.5%}")
    lines.append(f"  longest {duration(longest_ns)}; above 1 ms: {slow} of {operations}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times of single SETs while a keyspace grows.")
    parser.add_argument("--keys", type=int, default=5_000_000, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    load_type = load_class()
    print(f"{options.keys} keys of 16 bytes, values of 32 bytes; load of the machine {os.getloadavg()[0]:.1f}")
    recurring: set[int] | None = None
    for clock, cpu in (
        ("the wall's clock", False),
        ("the thread's CPU time", True),
        ("the thread's CPU time, again", True),
    ):
        load = load_type(cpu_clock=cpu)
        start = perf_counter()
        load.fill(0, options.keys, 32, timed=True)
        seconds = perf_counter() - start
        print(describe(clock, load.histogram(), load.longest_ns, load.slow))
        print(f"  {seconds:.1f} s in all, {load.memory_bytes() / options.keys:.1f} bytes a key")
        slow = set(load.slow_at())
        recurring = slow if recurring is None else recurring & slow
    print(f"Above 1 ms at the same operation in every run: {len(recurring or ())} {sorted(recurring or ())[:10]}")


if __name__ == "__main__":
    main()
