"""What the ordered index costs: time on SET of new keys, bytes a key, and the time of a short range.

Run: `python benchmarks/ordered.py [--keys N] [--rounds R]`.

Two kvcy-servers, without a log, get the same N new keys `key:<12 digits>` with values of 32 bytes in random order, in
pipelines, in turns: one has the index, complete, before the first of them, one gets none until the end. From each come
the mean time of SET in the handler and under the lock (INFO commandstats) and the server's CPU time a key. The slow log
begins below 1 ms, so every call is timed: of samples, one in 16, work that comes once in 512 keys is hit or missed.
Bytes a key are the difference of used_memory. Then KRANGE of 100 keys at random places is asked one at a time: again
the time that commandstats tells, and the CPU time, network and all. Last, how long it takes to build the index of N
keys in the server that had none, and to count them.

Before all that the same is measured in this process, without network: SET of N new keys in the engine, from lock to
unlock, by two keyspaces in turns, 50,000 keys a turn; each line is one such pass. This is the figure that repeats.

Limits: one machine and what else it does; the two servers and this program share its processors.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from random import Random

from tests_path import build_probes

# isort: split
import kvcy_server
from comparison_servers import process_cpu_ns
from kvcy_server import Client, Server

PIPELINE = 500
RANGES = 2000
SPREAD = 10**9
ENGINE_TURN = 50_000


def command_us(client: Client, name: str) -> float:
    """The mean time of a command's calls."""
    found = re.search(rb"cmdstat_%b:calls=(\d+),usec=(\d+)" % name.encode(), client.run("INFO", "commandstats"))
    return int(found[2]) / int(found[1]) if found else 0.0


def used_bytes(client: Client) -> int:
    found = re.search(rb"used_memory:(\d+)", client.run("INFO", "memory"))
    assert found is not None
    return int(found[1])


def fill(client: Client, numbers: list[int]) -> None:
    for start in range(0, len(numbers), PIPELINE):
        batch = numbers[start : start + PIPELINE]
        client.send(*(("SET", f"key:{number:012d}", b"x" * 32) for number in batch))
        for _ in batch:
            client.read()


def measured_fill(server: Server, client: Client, numbers: list[int]) -> tuple[float, float]:
    """The mean time of SET, us, and the server's CPU time a key, us."""
    client.run("CONFIG", "RESETSTAT")
    before = process_cpu_ns(server.process.pid)
    fill(client, numbers)
    return command_us(client, "set"), (process_cpu_ns(server.process.pid) - before) / len(numbers) / 1000


def measure_engine(keys: int) -> None:
    build_probes()
    from probes.engine_load_probe import Load

    loads = {"without": Load(shards=32), "with": Load(shards=32)}
    spent = {"without": 0, "with": 0}
    for load in loads.values():
        load.fill_scattered(0, ENGINE_TURN)
    loads["with"].index()
    for first in range(ENGINE_TURN, ENGINE_TURN + keys, ENGINE_TURN):
        for name in sorted(loads, reverse=first // ENGINE_TURN % 2 == 0):
            spent[name] += loads[name].fill_scattered(first, first + ENGINE_TURN)
            loads[name].upkeep()
    without, having = (spent[name] / keys for name in ("without", "with"))
    print(f"SET in the engine: {without:.0f} ns without the index, {having:.0f} ns with it:"
          f" {(having / without - 1) * 100:+.0f} %")  # fmt: skip


def measure(keys: int, rounds: int) -> None:
    numbers = Random(1).sample(range(SPREAD), keys)
    options = ("--appendonly", "no", "--save", "", "--slowlog-log-slower-than", "999")
    with (
        kvcy_server.running(*options) as plain, plain.connect() as without,
        kvcy_server.running(*options) as indexed, indexed.connect() as having,
    ):  # fmt: skip
        for client in (without, having):
            fill(client, [SPREAD + number for number in range(2000)])         # so that all shards have a partition
        having.run("KCOUNT", "-", "+")
        set_us: dict[str, list[float]] = {"without": [], "with": []}
        all_us: dict[str, list[float]] = {"without": [], "with": []}
        for at in range(rounds):
            part = numbers[at * keys // rounds : (at + 1) * keys // rounds]
            for name, server, client in (("without", plain, without), ("with", indexed, having)):
                one, whole = measured_fill(server, client, part)
                set_us[name].append(one)
                all_us[name].append(whole)
        again: dict[str, list[float]] = {"without": [], "with": []}
        for at in range(rounds):
            part = numbers[at * keys // rounds : (at + 1) * keys // rounds]
            for name, server, client in (("without", plain, without), ("with", indexed, having)):
                again[name].append(measured_fill(server, client, part)[0])
        more = (used_bytes(having) - used_bytes(without)) / (keys + 2000)
        for title, times in (("SET under its lock", set_us), ("server's CPU time a key", all_us),
                             ("SET of a key that is there, under its lock", again)):
            middle = {name: statistics.median(found) for name, found in times.items()}
            print(f"{title}: {middle['without']:.3f} us without the index, {middle['with']:.3f} us with it:"
                  f" {(middle['with'] / middle['without'] - 1) * 100:+.0f} %")  # fmt: skip
        print(f"index: {more:.1f} bytes a key")
        having.run("CONFIG", "RESETSTAT")
        before = process_cpu_ns(indexed.process.pid)
        for start in Random(2).choices(numbers, k=RANGES):
            having.run("KRANGE", f"[key:{start:012d}", "+", "LIMIT", "0", "100")
        whole = (process_cpu_ns(indexed.process.pid) - before) / RANGES / 1000
        print(f"KRANGE of 100 keys out of {keys}: {command_us(having, 'krange'):.1f} us; CPU time {whole:.1f} us")
        began = time.perf_counter()
        without.run("KCOUNT", "-", "+")
        print(f"building the index of {keys} keys: {time.perf_counter() - began:.2f} s")
        began = time.perf_counter()
        without.run("KCOUNT", "-", "+")
        print(f"counting them: {(time.perf_counter() - began) * 1000:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for _ in range(arguments.rounds):
        measure_engine(arguments.keys)
    measure(arguments.keys, arguments.rounds)
