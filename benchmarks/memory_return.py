"""What memory kvcy-server keeps beyond what it uses: after a mass deletion, and under steady overwriting.

Run: `python benchmarks/memory_return.py` (two minutes).

For each size of values, MB of them are set and four of five deleted at random. Five seconds later: resident memory
against used_memory, both without what the empty server had. A client that asks for a key all the time tells whether
that was noticed: its waits before, and in those five seconds.

Then, at a limit of MB with allkeys-lru, values of many sizes (evenly by their logarithm) are set over random keys,
four times the limit in all, and the same ratio is told.

Server and client run on a processor each where there are two.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import sys
import time

import compare
import comparison_servers
from comparison_servers import Server, receive

SETTLE_S = 5.0
SIZES = (300, 3000, 100_000)
RANGES = ((32, 1000), (2100, 32_000), (33_000, 128_000))
BATCH_BYTES = 1_000_000
NOISE = os.urandom(1 << 20)
SERVER_CPU, LOAD_CPU = compare.processors()


def used_memory(server: Server) -> int:
    with server.connect() as connection:
        connection.sendall(b"INFO memory\r\n")
        text = b""
        while b"used_memory:" not in text or not text.endswith(b"\r\n"):
            text += connection.recv(65536)
    return int(re.search(rb"used_memory:(\d+)", text)[1])  # type: ignore[index]


def waits_ms(server: Server, seconds: float) -> list[float]:
    """How long each of the commands of a client took that sends them one by one, sorted."""
    waits = []
    with server.connect() as connection:
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            connection.sendall(b"EXISTS lasting\r\n")
            connection.recv(100)
            waits.append((time.perf_counter() - begin) * 1000)
    return sorted(waits)


def send(server: Server, requests: list[bytes], reply_bytes: int) -> None:
    with server.connect() as connection:
        for request in requests:
            connection.sendall(request)
            receive(connection, reply_bytes)


def value(key: int, size: int) -> bytes:
    begin = key * 4099 % (len(NOISE) - size)
    return NOISE[begin : begin + size]


def after_a_deletion(size: int, megabytes: int) -> None:
    count = megabytes * 1_000_000 // size
    with comparison_servers.running("kvcy", SERVER_CPU) as server:
        resident, used = server.resident_bytes(), used_memory(server)
        send(server, [server.set_command(key, value(key, size)) for key in range(count)], len(b"+OK\r\n"))
        before = waits_ms(server, SETTLE_S)
        gone = random.Random(size).sample(range(count), count * 4 // 5)
        send(server, [b"*2\r\n$3\r\nDEL\r\n$16\r\nkey:%012d\r\n" % key for key in gone], len(b":1\r\n"))
        after = waits_ms(server, SETTLE_S)
        ratio = (server.resident_bytes() - resident) / (used_memory(server) - used)
    at = [f"{waits[len(waits) * 999 // 1000]:.2f}" for waits in (before, after)]
    waited = f"99.9 % of waits {at[0]} ms before, {at[1]} after"
    print(f"values of {size:6} B, 80 % deleted: resident {ratio:.3f} x used; {waited}", flush=True)


def under_overwriting(least: int, most: int, megabytes: int) -> None:
    source = random.Random(least)
    options = ["--maxmemory", f"{megabytes}mb", "--maxmemory-policy", "allkeys-lru"]
    mean = (most - least) / math.log(most / least)
    keys = int(2 * megabytes * 1_000_000 / mean)
    with comparison_servers.running("kvcy", SERVER_CPU, *options) as server:
        resident, used = server.resident_bytes(), used_memory(server)
        left = 4 * megabytes * 1_000_000
        while left > 0:
            sizes = [int(least * (most / least) ** source.random()) for _ in range(int(BATCH_BYTES / mean))]
            chosen = [(source.randrange(keys), size) for size in sizes]
            batch = b"".join([server.set_command(key, value(key, size)) for key, size in chosen])
            send(server, [batch], len(b"+OK\r\n") * len(sizes))
            left -= len(batch)
        ratio = (server.resident_bytes() - resident) / (used_memory(server) - used)
    print(f"values of {least} to {most} B, overwriting: resident {ratio:.3f} x used", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    options = parser.parse_args()
    if LOAD_CPU is not None:
        os.sched_setaffinity(0, {LOAD_CPU})
    sys.path.append(str(compare.ROOT))  # an installed kvcy, or else the one that is compiled in this tree
    for size in SIZES:
        after_a_deletion(size, options.megabytes)
    for least, most in RANGES:
        under_overwriting(least, most, options.megabytes)


if __name__ == "__main__":
    main()
