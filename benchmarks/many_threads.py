"""What several threads cost and gain: a shard's lock, the engine without sockets, and servers with several reactors.

Run: `python benchmarks/many_threads.py` (some minutes), on a machine that does nothing else; `--quick` to try it.

*Lock*: the time of taking and releasing it, alone; then how long readers and writers waited, as many threads as there
are processors and one more, so that a holder is sometimes not running, with few and with many writers among them.
*Engine*: operations a second of one thread and of two, 90 % of them reads. *Server*: redis-benchmark's throughput, with
two threads, and the server's CPU time a request with 1 and 2 reactors, depth 16, load and server on the same
processors; the same on one key, beside Redis.
"""

from __future__ import annotations

import argparse
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from compare import load_once
from comparison_servers import Server, running
from tests_path import build_probes

KEYS = 1_000_000
SHARDS = 32
ROUNDS = 5
STEPS_HELD = 30  # about 50 ns under the lock


def probes() -> tuple[Any, Any]:
    """The probes' classes, built first if need be."""
    build_probes()
    from probes.contention_probe import Contended
    from probes.engine_load_probe import Load

    return Contended, Load


def together(*calls: Callable[[], Any]) -> tuple[float, list[Any]]:
    """Runs the calls in threads that begin at one time; the seconds until the last has ended, and their results."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls) + 1)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        results[number] = call()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, results


def show_lock(contended: Any, count: int) -> None:
    lock = contended()
    for kind, write in (("shared", False), ("exclusive", True)):
        best = min(lock.uncontended_ns(write, count) for _ in range(ROUNDS))
        print(f"lock, {kind}, alone: {best:.1f} ns to take and release")
    threads = (os.cpu_count() or 1) + 1
    for writers in (1, threads - 1):
        calls = [partial(lock.waits, number < writers, count // 10, STEPS_HELD) for number in range(threads)]
        _, results = together(*calls)
        for kind, found in (("writer", results[:writers]), ("reader", results[writers:])):
            waits: Counter[int] = sum(map(Counter, found), Counter())
            print(f"lock, {writers} writers of {threads} threads, a {kind} waited, ns:", percentiles(waits))


def percentiles(waits: Counter[int]) -> str:
    """Upper bounds of some shares of the waits, and of all."""
    total, seen, texts = waits.total(), 0, []
    shares = [0.5, 0.99, 0.999, 0.9999]
    for bound, count in sorted(waits.items()):
        seen += count
        while shares and seen >= shares[0] * total:
            texts.append(f"{shares.pop(0):.2%} < {bound:,}")
    return ", ".join([*texts, f"all < {max(waits):,}"])


def show_engine(load_type: Any, count: int) -> None:
    load = load_type(SHARDS)
    load.fill(0, KEYS)
    load.mixed(KEYS, 0, count, 10)
    ratios = []
    for _ in range(ROUNDS):
        alone, _ = together(lambda: load.mixed(KEYS, 0, count, 10))
        both, _ = together(lambda: load.mixed(KEYS, 0, count, 10), lambda: load.mixed(KEYS, 7 * count, 8 * count, 10))
        ratios.append(2 * alone / both)
        print(f"engine, 90 % reads: 1 thread {count / alone / 1e6:.2f} M/s, 2 threads {2 * count / both / 1e6:.2f} M/s")
    print(f"engine, 2 threads over 1: {sorted(ratios)[ROUNDS // 2]:.2f} (median)")


def load(server: Server, command: str, keys: int, count: int) -> tuple[float, float]:
    """Requests a second, and the server's CPU time a request in us."""
    found = load_once(server, command, 16, count, None, keyspace=keys, options=("--threads", "2"))
    return found["requests_per_s"], found["cpu_ns"] / 1000


def show_servers(count: int) -> None:
    names = [("kvcy", "1"), ("kvcy", "2")] + [("redis", "")] * (shutil.which("redis-server") is not None)
    for what, keys in (("100,000 keys", 100_000), ("one key", 1)):
        for name, reactors in names:
            with running(name, None, *(("--io-threads", reactors) if reactors else ())) as server:
                load(server, "SET", keys, count)
                for command in ("SET", "GET"):
                    found = [load(server, command, keys, count) for _ in range(ROUNDS)]
                    rates, cpu = sorted(rate for rate, _ in found), sorted(cpu_us for _, cpu_us in found)
                    print(
                        f"{name}{reactors and f', {reactors} reactor(s)'}, {what}, {command}: "
                        f"{rates[ROUNDS // 2]:,.0f}/s, {cpu[ROUNDS // 2]:.2f} us of CPU a request (medians)"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What several threads cost and gain.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, to see that it works")
    parser.add_argument("--only", choices=["lock", "engine", "servers"])
    options = parser.parse_args()
    share = 100 if options.quick else 1
    contended, load_type = probes()
    if options.only in (None, "lock"):
        show_lock(contended, 20_000_000 // share)
    if options.only in (None, "engine"):
        show_engine(load_type, 10_000_000 // share)
    if options.only in (None, "servers"):
        show_servers(6_000_000 // share)  # with threads, redis-benchmark notices its end to 0.25 s


if __name__ == "__main__":
    main()
