"""How late expired keys are removed when very many are due together, and what other clients notice of it.

Run: `python benchmarks/expiry_lag.py [--keys N] [--seconds S]`.

A kvcy-server gets N keys of which the times of expiry are spread evenly over S seconds, and one key that stays. Nobody
touches the N keys. A client asks for DBSIZE again and again: so many keys being gone at a moment tells when the oldest
of those still there was due, and so the lag. INFO's `expire_lag_ms_max`, read twice a second, is the server's own
account. Another process sends GETs of the key that stays, one at a time: before the keys fall due, and while they do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import socket
import statistics
import sys
import time
from multiprocessing.connection import Connection

import tests_path  # noqa: F401

# isort: split
import kvcy_server
from kvcy_server import Client

FILL_KEYS_PER_S = 100_000
QUIET_S = 3.0
PIPELINE = 1000
DBSIZE_PAUSE_S = 0.002


def fill(client: Client, keys: int, begin_ms: int, spread_ms: int) -> None:
    """The keys, in the order in which they are due."""
    for start in range(0, keys, PIPELINE):
        numbers = range(start, min(keys, start + PIPELINE))
        due = ((number, begin_ms + number * spread_ms // keys) for number in numbers)
        client.send(*(("SET", f"key:{number:012d}", b"x" * 32, "PXAT", str(due_ms)) for number, due_ms in due))
        for _ in numbers:
            client.read()


def get_times(port: int, phases: list[tuple[float, float]], results: Connection) -> None:
    """The process that sends GETs: for each phase (from, to; Unix time in s) the times they took, in us."""
    request = b"*2\r\n$3\r\nGET\r\n$7\r\nlasting\r\n"
    measured = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin_s, end_s in phases:
            time.sleep(max(0.0, begin_s - time.time()))
            times_us = []
            while time.time() < end_s:
                start_ns = time.perf_counter_ns()
                connection.sendall(request)
                connection.recv(100)
                times_us.append((time.perf_counter_ns() - start_ns) / 1000)
                time.sleep(0.0002)
            measured.append(times_us)
    results.send(measured)


def watch(client: Client, keys: int, begin_ms: int, spread_ms: int) -> tuple[list[float], int]:
    """The lags seen by DBSIZE, in ms, and the largest that INFO showed."""
    lags_ms = []
    told_ms = 0
    info_at = time.monotonic()
    while time.time() * 1000 < begin_ms:  # so that what this client costs others is in all their times
        client.run("DBSIZE")
        time.sleep(DBSIZE_PAUSE_S)
    while (left := int(client.run("DBSIZE")[1:]) - 1) > 0:
        gone = keys - left
        now_ms = time.time() * 1000
        due_ms = begin_ms + gone * spread_ms / keys
        if now_ms < begin_ms + spread_ms:
            lags_ms.append(max(0.0, now_ms - due_ms))
        if time.monotonic() >= info_at:
            info_at = time.monotonic() + 0.5
            found = re.search(rb"expire_lag_ms_max:(\d+)", client.run("INFO", "stats"))
            told_ms = max(told_ms, int(found[1]) if found else 0)
        time.sleep(DBSIZE_PAUSE_S)
    return lags_ms, told_ms


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def main() -> None:
    parser = argparse.ArgumentParser(description="The lag of expiry, and what it costs others.")
    parser.add_argument("--keys", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=10, metavar="S", help="default: %(default)s")
    options = parser.parse_args()
    with kvcy_server.running() as server, server.connect() as client:
        begin_ms = int((time.time() + options.keys / FILL_KEYS_PER_S * 2 + QUIET_S + 1) * 1000)
        spread_ms = options.seconds * 1000
        empty_bytes = server.resident_bytes()
        client.run("SET", "lasting", "x" * 32)
        fill(client, options.keys, begin_ms, spread_ms)
        if time.time() * 1000 > begin_ms - QUIET_S * 1000:
            sys.exit("the machine is too slow for this many keys")
        resident = (server.resident_bytes() - empty_bytes) / options.keys
        here, there = multiprocessing.Pipe()
        begin_s = begin_ms / 1000
        phases = [(begin_s - QUIET_S, begin_s - 0.1), (begin_s, begin_s + options.seconds)]
        getter = multiprocessing.Process(target=get_times, args=(server.port, phases, there))
        getter.start()
        lags_ms, told_ms = watch(client, options.keys, begin_ms, spread_ms)
        quiet_us, busy_us = here.recv()
        getter.join()
    print(f"resident memory      {resident:.1f} B a key")
    print(f"lag by DBSIZE        median {statistics.median(lags_ms):.1f} ms, largest {max(lags_ms):.1f} ms")
    print(f"lag by INFO          largest {told_ms} ms")
    for name, times_us in (("GET, nothing due    ", quiet_us), ("GET, while they are ", busy_us)):
        print(f"{name} p50 {percentile(times_us, 0.5):.0f} us, p99 {percentile(times_us, 0.99):.0f} us")


if __name__ == "__main__":
    main()
