"""An estimate of how the engine scales to more processors than there are here, from what is measured here.

Run: `python benchmarks/scaling.py` (half a minute), on a machine that does nothing else; `--quick` to try it. The
engine alone is meant, without sockets: threads that do nothing but operations.

Measured, on one thread: a read and an overwrite of scattered keys; the same of one key; the part of them that is
outside of locks for sure (writing the key's name); taking and releasing a lock; appending a record of 64 bytes to the
log's ring. On two threads that do the same at once, the time for each operation of both: one lock, taken shared and
exclusively, and the log with its spin lock.

Estimated: a closed queueing network by mean value analysis (Reiser and Lavenberg, 1980), exact for exponential times.
N threads do operation after operation. Each of the shards is a queue, the log is one, and a hot key's shard. A lock's
word, with its count of readers, is one processor's at a time: so long, two processors that take it in turn have shown,
that a reader keeps everybody from it. A writer also keeps others out while it works; a reader keeps out writers only,
so two bounds are given: as if readers kept nobody out but by the word, and as if they kept everybody out.

Not in it: memory bandwidth and the size of the shared cache, which more threads share; processors in different sockets,
between which a word takes several times as long; the kernel's sockets, which are most of what a server does.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any

from many_threads import ROUNDS, probes, together
from tests_path import build_probes

KEYS = 1_000_000
SHARDS_A_PROCESSOR = 16
RECORD_BYTES = 64
RING_BYTES = 1 << 24
SEGMENT_BYTES = 1 << 26


@dataclass(frozen=True)
class Measured:
    """All in ns."""

    read: float
    write: float
    hot_read: float  # of one key, which is in the cache
    hot_write: float
    outside: float  # of all four: the key's name
    lock: float  # to take and release, alone
    shared_word: float  # a shared lock that two processors take in turn, each time
    exclusive_word: float
    append: float  # of a record to the log, alone
    append_word: float  # by two processors in turn, each time

    @property
    def read_held(self) -> float:
        return self.read - self.outside - self.lock

    @property
    def write_held(self) -> float:
        return self.write - self.outside - self.lock

    def demand(self, read: float, write: float, writes: float, pessimistic: bool) -> float:
        """How long an operation, on average, keeps others from its shard."""
        held = self.outside + self.lock
        return writes * (write - held + self.exclusive_word) + (1 - writes) * (
            self.shared_word + (read - held) * pessimistic
        )


def fastest_ns(call: Any, count: int) -> float:
    """The best of some rounds, an operation."""
    return min(together(call)[0] for _ in range(ROUNDS)) * 1e9 / count


def both_ns(call: Any, count: int) -> float:
    """The median of some rounds of two threads that do the same: the time for each of all their operations."""
    return sorted(together(call, call)[0] for _ in range(ROUNDS))[ROUNDS // 2] * 1e9 / (2 * count)


def appends(count: int, threads: int) -> float:
    """ns a record, over all threads."""
    from probes import log_probe

    found = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="kvcy-scaling-") as path:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            writer = log_probe.Writer(directory, SEGMENT_BYTES, RING_BYTES, policy=log_probe.NO)
            writer.append_same(b"x" * RECORD_BYTES, count * threads)  # the ring's memory is there from now on
            writer.step()
            call = partial(writer.append_same, b"x" * RECORD_BYTES, count)
            found.append(together(*[call] * threads)[0] * 1e9 / (count * threads))
            writer.step()
            writer.close()
            os.close(directory)
    return min(found) if threads == 1 else sorted(found)[ROUNDS // 2]


def measure(share: int) -> Measured:
    build_probes()
    contended, load_type = probes()
    load = load_type(SHARDS_A_PROCESSOR * (os.cpu_count() or 1))
    load.fill(0, KEYS)
    count, locks = 4_000_000 // share, 20_000_000 // share
    records = min(RING_BYTES // 2 // (32 + RECORD_BYTES) // 2, 1_000_000 // share)
    lock = contended()
    return Measured(
        read=fastest_ns(lambda: load.get(KEYS, count), count),
        write=fastest_ns(lambda: load.set(KEYS, count), count),
        hot_read=fastest_ns(lambda: load.get(1, count), count),
        hot_write=fastest_ns(lambda: load.set(1, count), count),
        outside=fastest_ns(lambda: load.name(KEYS, count), count),
        lock=min(lock.uncontended_ns(False, locks) for _ in range(ROUNDS)),
        shared_word=both_ns(lambda: lock.uncontended_ns(False, locks // 10), locks // 10),
        exclusive_word=both_ns(lambda: lock.uncontended_ns(True, locks // 10), locks // 10),
        append=appends(records, 1),
        append_word=appends(records, 2),
    )


def throughput(threads: int, think_ns: float, stations: list[tuple[int, float]]) -> tuple[float, list[float]]:
    """Operations a ns of a closed network, and how busy each kind of station is; stations: (how many, demand in ns)."""
    queues = [0.0] * len(stations)
    rate = 0.0
    for population in range(1, threads + 1):
        waits = [demand * (1 + queue) for (_, demand), queue in zip(stations, queues, strict=True)]
        rate = population / (think_ns + sum(many * wait for (many, _), wait in zip(stations, waits, strict=True)))
        queues = [rate * wait for wait in waits]
    return rate, [rate * demand for _, demand in stations]


def estimate(found: Measured, threads: int, writes: float, hot: float, logged: bool, pessimistic: bool) -> str:
    """A line on `threads` threads, `writes` of whose operations are writes, and `hot` of them on one key."""
    shards = min(SHARDS_A_PROCESSOR * threads, 1024)
    demand = found.demand(found.read, found.write, writes, pessimistic)
    hot_demand = found.demand(found.hot_read, found.hot_write, writes, pessimistic)
    think = found.outside + (1 - writes) * found.read_held * (not pessimistic)
    # With one thread no word comes from another processor.
    alone = writes * found.write + (1 - writes) * found.read
    stations = [(shards, (1 - hot) * demand / shards), (1, hot * hot_demand)]
    if logged:
        stations.append((1, writes * found.append_word))
        alone += writes * found.append
    rate, busy = throughput(threads, think, stations)
    text = f"{rate * 1000:7.1f} M/s, {rate * alone:5.1f} x one thread; a shard {busy[0]:4.0%} busy"
    if hot:
        text += f", the hot key's {busy[1]:4.0%}"
    return text + (f", the log {busy[2]:4.0%}" if logged else "")


def main() -> None:
    parser = argparse.ArgumentParser(description="An estimate of how the engine scales.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, to see that it works")
    options = parser.parse_args()
    found = measure(100 if options.quick else 1)
    for name, value in vars(found).items():
        print(f"measured, {name}: {value:.1f} ns")
    print(f"of these under the lock: read {found.read_held:.1f} ns, write {found.write_held:.1f} ns")
    bounds = {
        "reads of one key": found.shared_word,
        "writes of one key": found.demand(0, found.hot_write, 1, False),
        "logged writes": found.append_word,
    }
    for name, ns in bounds.items():
        print(f"bound, {name}: {1000 / ns:.0f} M/s")
    for what, writes, hot, logged in (
        ("10 % writes", 0.1, 0.0, False),
        ("10 % writes, logged", 0.1, 0.0, True),
        ("all writes, logged", 1.0, 0.0, True),
        ("10 % writes, 5 % on one key", 0.1, 0.05, False),
    ):
        for threads in (2, 16, 64):
            for bound, pessimistic in (("readers apart", False), ("readers keep out", True)):
                line = estimate(found, threads, writes, hot, logged, pessimistic)
                print(f"{what}, {threads:2} threads, {bound:16}: {line}")


if __name__ == "__main__":
    main()
