"""What INFO latencystats and LATENCY HISTOGRAM show of how long a command's calls took.

A histogram is a sequence of (the largest time in ns that belongs to the bucket, calls in it), rising, empty buckets
left out; it holds the calls that were timed (commands/histogram.pxd).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Histogram: TypeAlias = Sequence[tuple[int, int]]

POWER_MIN = 10                     # the least step is 2 ** 10 ns


def calls(histogram: Histogram) -> int:
    return sum(count for _, count in histogram)


def percentile_us(histogram: Histogram, percentile: float) -> float:
    """The time, in microseconds, that so many percent of the calls did not exceed."""
    wanted = max(int(percentile / 100 * calls(histogram) + 0.5), 1)
    seen = 0
    for time_ns, count in histogram:
        seen += count
        if seen >= wanted:
            return time_ns / 1000
    return 0.0


def percentile_text(percentile: float) -> str:
    """50, 99.9: without needless zeros."""
    return f"{percentile:f}".rstrip("0").rstrip(".")


def steps_us(histogram: Histogram) -> dict[int, int]:
    """How many calls took no longer than each power of two of nanoseconds where there are more than before it. The keys
    are microseconds, as Redis's histograms round them up: 1, 2, 4, 8, 16, 33, 66, 132, ..."""
    found: dict[int, int] = {}
    power = POWER_MIN
    seen = 0
    for time_ns, count in histogram:
        while time_ns >= 1 << power:
            power += 1
        seen += count
        found[((1 << power) + (1 << power - 7) - 1) // 1000] = seen
    return found
