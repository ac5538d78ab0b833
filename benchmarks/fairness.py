"""What one demanding client does to 49 others: the 99th percentile of their latencies with and without it.

Run: `python benchmarks/fairness.py` (a minute or two), on a machine that does nothing else; `--seconds 0.2` to try it.

The 49 are redis-benchmark's, each with one GET at a time. Beside them runs, in turn: nobody; a process that asks
nothing of the server and only computes; a client that sends pipelines of 10,000 GETs; one that sets a value of 100 MB
again and again; one that gets it. The rounds alternate, so a slow minute of the machine is everybody's, and medians of
the rounds are compared. Server on one processor, clients on another: so the demanding client takes processor time from
the load generator too, and what that alone does, the process that computes shows. The same for Redis, if it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
from collections.abc import Callable, Iterator

import tests_path  # noqa: F401

# isort: split
from comparison_servers import Server, pinned, receive, running
from resp import encode

CLIENTS = 49
DEPTH = 10_000
LARGE_BYTES = 100_000_000
ROUNDS = 7


def computing(connection: socket.socket) -> None:
    while True:
        pass


def pipelines(connection: socket.socket) -> None:
    connection.sendall(encode([b"SET", b"some", b"v" * 64]))
    receive(connection, 5)
    request = encode([b"GET", b"some"]) * DEPTH
    while True:
        connection.sendall(request)
        receive(connection, (len(b"$64\r\n\r\n") + 64) * DEPTH)


def large_sets(connection: socket.socket) -> None:
    request = encode([b"SET", b"large", b"v" * LARGE_BYTES])
    while True:
        connection.sendall(request)
        receive(connection, 5)


def large_gets(connection: socket.socket) -> None:
    connection.sendall(encode([b"SET", b"large", b"v" * LARGE_BYTES]))
    receive(connection, 5)
    reply = len(b"$%d\r\n" % LARGE_BYTES) + LARGE_BYTES + 2
    while True:
        connection.sendall(encode([b"GET", b"large"]))
        receive(connection, reply)


Demand = Callable[[socket.socket], None]
DEMANDS: dict[str, Demand | None] = {
    "nobody": None,
    "a process that computes": computing,
    f"pipelines of {DEPTH:,}": pipelines,
    "a value of 100 MB received": large_sets,
    "a value of 100 MB sent": large_gets,
}


def demand_for_ever(port: int, demand: Demand) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        demand(connection)


@contextlib.contextmanager
def beside(server: Server, demand: Demand | None) -> Iterator[None]:
    """The demanding client, in a process of its own."""
    if demand is None:
        yield
        return
    process = multiprocessing.get_context("fork").Process(target=demand_for_ever, args=(server.port, demand))
    process.start()
    try:
        yield
        if not process.is_alive():
            raise RuntimeError("the demanding client has ended")
    finally:
        process.kill()
        process.join()


def p99_ms(server: Server, requests: int) -> float:
    """Of the 49 clients."""
    line = ["redis-benchmark", "-p", str(server.port), "--csv", "-t", "get", "-c", str(CLIENTS), "-n", str(requests)]
    text = subprocess.run([*line, "-r", "100000", "-d", "64"], capture_output=True, text=True, check=True).stdout
    head, row = (part.replace('"', "").split(",") for part in text.strip().splitlines()[-2:])
    return float(row[head.index("p99_latency_ms")])


def show(name: str, requests: int) -> None:
    """Measures a server, and prints a line for each demand."""
    found: dict[str, list[float]] = {what: [] for what in DEMANDS}
    several = (os.cpu_count() or 1) > 1
    with running(name, 0 if several else None) as server, pinned(1 if several else None):
        for _ in range(ROUNDS):
            for what, demand in DEMANDS.items():
                with beside(server, demand):
                    found[what].append(p99_ms(server, requests))
    medians = {what: statistics.median(values) for what, values in found.items()}
    for what, p99 in medians.items():
        ratios = [f"{p99 / medians[other]:.1f} x {other}" for other in list(DEMANDS)[:2]]
        print(f"{name}, beside {what}: p99 {p99:.2f} ms, {', '.join(ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What one demanding client does to 49 others.")
    parser.add_argument("--seconds", type=float, default=1.5, help="about so long a round; default: %(default)s")
    options = parser.parse_args()
    for name in ["kvcy"] + ["redis"] * (shutil.which("redis-server") is not None):
        show(name, int(60_000 * options.seconds))


if __name__ == "__main__":
    main()
