"""What a SET costs that has to evict: CPU time of kvcy's policies as a multiple of Redis's `allkeys-lru`.

Run: `python benchmarks/eviction_cost.py [--servers kvcy-lru redis-lfu] [--rounds N] [--keys N]`, on a machine that does
nothing else.

Each server has a processor of its own, redis-benchmark another: 50 connections, pipelines of 16, values of 64 bytes,
keys at random. `maxmemory` is 100 MB, full before anything is measured. Of 100 million keys, the default, 99 % of the
SETs evict; with 1,600,000 about half do, the others overwrite. The servers take turns, round after round, so a slow
minute of the machine is everybody's; told are the medians, and the lowest and the highest ratio of a round.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics

from compare import load_once, processors
from comparison_servers import running

BASE = "redis-lru"
POLICIES = {"redis": ["lru", "lfu", "random"], "kvcy": ["lru", "lfu", "random", "sieve", "s3fifo", "tinylfu"]}
DEPTH = 16
REQUESTS = 400_000
FILL = 1_500_000
OPTIONS = ("--maxmemory", "100mb", "--maxmemory-policy")


def measure(names: list[str], keys: int, rounds: int) -> None:
    server_cpu, load_cpu = processors()
    times_us: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in names:
            program, _, policy = name.partition("-")
            servers[name] = stack.enter_context(running(program, server_cpu, *OPTIONS, f"allkeys-{policy}"))
            load_once(servers[name], "SET", DEPTH, FILL, load_cpu, keyspace=keys)
        for _ in range(rounds):
            for name, server in servers.items():
                found = load_once(server, "SET", DEPTH, REQUESTS, load_cpu, keyspace=keys)
                times_us[name].append(found["cpu_ns"] / 1000)
    print(f"{'':14} {'us':>6} {'ratio':>6} {'lowest':>7} {'highest':>8}")
    for name, mine in times_us.items():
        ratios = [one / base for one, base in zip(mine, times_us[BASE], strict=True)]
        middle = statistics.median(ratios)
        print(f"{name:14} {statistics.median(mine):6.2f} {middle:6.2f} {min(ratios):7.2f} {max(ratios):8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [f"{program}-{policy}" for program, policies in POLICIES.items() for policy in policies]
    parser.add_argument("--servers", nargs="+", choices=every, default=every)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keys", type=int, default=100_000_000)
    arguments = parser.parse_args()
    measure([BASE, *(name for name in arguments.servers if name != BASE)], arguments.keys, arguments.rounds)
