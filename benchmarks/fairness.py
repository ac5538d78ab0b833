"""What one demanding client does to 49 others: the 99th percentile of their latencies with and without it.

Run: `python benchmarks/fairness.py` (a minute or two), on a machine that does nothing else; `--seconds 0.2` to try it.

The 49 send one GET at a time, in turn, at times that are fixed before (an open loop, RATE a second together); a latency
counts from when the GET was due. Beside them runs, in turn: nobody; a process that asks nothing of the server and only
computes; a client that sends pipelines of 10,000 GETs; one that sets a value of 100 MB again and again; one that gets
it. The rounds alternate, so a slow minute of the machine is everybody's, and medians of the rounds are compared.

Server on one processor, clients on another: so that the demanding client does not take processor time from the 49, it
has the scheduling policy that only takes what others leave (Linux); what it takes after all, the process that computes
shows. How much of its demand was met is told too. The same for Redis, if it is there.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import os
import select
import shutil
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized

import tests_path  # noqa: F401

# isort: split
from comparison_servers import Server, pinned, receive, running
from resp import encode

CLIENTS = 49
RATE = 5000  # GETs a second
DEPTH = 10_000
LARGE_BYTES = 100_000_000
PIECE_BYTES = 65536  # sent or received by one call, which the system lets nobody interrupt
ROUNDS = 7


class Peer:
    """The demanding client's connection; counts what has gone over it."""

    def __init__(self, connection: socket.socket, moved: Synchronized[int]) -> None:
        self._connection = connection
        self._moved = moved

    def send(self, request: bytes) -> None:
        view = memoryview(request)
        for start in range(0, len(view), PIECE_BYTES):
            self._connection.sendall(view[start : start + PIECE_BYTES])
            self._moved.value += len(view[start : start + PIECE_BYTES])

    def receive(self, size: int) -> None:
        for start in range(0, size, PIECE_BYTES):
            receive(self._connection, min(PIECE_BYTES, size - start))
            self._moved.value += min(PIECE_BYTES, size - start)


def computing(peer: Peer) -> None:
    while True:
        pass


def pipelines(peer: Peer) -> None:
    peer.send(encode([b"SET", b"some", b"v" * 64]))
    peer.receive(5)
    request = encode([b"GET", b"some"]) * DEPTH
    while True:
        peer.send(request)
        peer.receive((len(b"$64\r\n\r\n") + 64) * DEPTH)


def large_sets(peer: Peer) -> None:
    request = encode([b"SET", b"large", b"v" * LARGE_BYTES])
    while True:
        peer.send(request)
        peer.receive(5)


def large_gets(peer: Peer) -> None:
    peer.send(encode([b"SET", b"large", b"v" * LARGE_BYTES]))
    peer.receive(5)
    reply = len(b"$%d\r\n" % LARGE_BYTES) + LARGE_BYTES + 2
    while True:
        peer.send(encode([b"GET", b"large"]))
        peer.receive(reply)


Demand = Callable[[Peer], None]
DEMANDS: dict[str, Demand | None] = {
    "nobody": None,
    "a process that computes": computing,
    f"pipelines of {DEPTH:,}": pipelines,
    "a value of 100 MB received": large_sets,
    "a value of 100 MB sent": large_gets,
}


def demand_for_ever(port: int, demand: Demand, moved: Synchronized[int]) -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        demand(Peer(connection, moved))


@contextlib.contextmanager
def beside(server: Server, demand: Demand | None, speeds: list[float]) -> Iterator[None]:
    """The demanding client, in a process of its own. Adds to `speeds` how many MB a second it has moved."""
    if demand is None:
        yield
        return
    forked = multiprocessing.get_context("fork")
    moved: Synchronized[int] = forked.Value("q", 0)
    process = forked.Process(target=demand_for_ever, args=(server.port, demand, moved))
    process.start()
    before, began = moved.value, time.monotonic()
    try:
        yield
        speeds.append((moved.value - before) / 1e6 / (time.monotonic() - began))
        if not process.is_alive():
            raise RuntimeError("the demanding client has ended")
    finally:
        process.kill()
        process.join()


def p99_ms(server: Server, seconds: float) -> float:
    """Of the 49 clients."""
    request = encode([b"GET", b"none"])
    latencies: list[float] = []
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        due: dict[socket.socket, collections.deque[float]] = {client: collections.deque() for client in clients}
        began, sent = time.monotonic() + 0.1, 0
        while len(latencies) < seconds * RATE:
            now = time.monotonic()
            while (next_due := began + sent / RATE) <= now and sent < seconds * RATE:
                client = clients[sent % CLIENTS]
                client.sendall(request)
                due[client].append(next_due)
                sent += 1
            # Not epoll, whose timeout Python rounds up to a millisecond.
            for client in select.select(clients, (), (), max(next_due - time.monotonic(), 0))[0]:
                for _ in range(client.recv(4096).count(b"\n")):
                    latencies.append(time.monotonic() - due[client].popleft())
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1000


def show(name: str, seconds: float) -> None:
    """Measures a server, and prints a line for each demand."""
    found: dict[str, list[float]] = {what: [] for what in DEMANDS}
    speeds: dict[str, list[float]] = {what: [] for what in DEMANDS}
    several = (os.cpu_count() or 1) > 1
    with running(name, 0 if several else None) as server, pinned(1 if several else None):
        for _ in range(ROUNDS):
            for what, demand in DEMANDS.items():
                with beside(server, demand, speeds[what]):
                    found[what].append(p99_ms(server, seconds))
    medians = {what: statistics.median(values) for what, values in found.items()}
    for what, p99 in medians.items():
        ratios = [f"{p99 / medians[other]:.1f} x {other}" for other in list(DEMANDS)[:2]]
        speed = f", {statistics.median(speeds[what]):.0f} MB/s for it" if speeds[what] else ""
        print(f"{name}, beside {what}: p99 {p99:.2f} ms, {', '.join(ratios)}{speed}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What one demanding client does to 49 others.")
    parser.add_argument("--seconds", type=float, default=1.5, help="a round's length; default: %(default)s")
    options = parser.parse_args()
    for name in ["kvcy"] + ["redis"] * (shutil.which("redis-server") is not None):
        show(name, options.seconds)


if __name__ == "__main__":
    main()
