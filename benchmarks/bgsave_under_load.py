"""Measures what clients notice of a BGSAVE, and what memory it takes: kvcy by a child and by a thread, and Redis.

Run: `python benchmarks/bgsave_under_load.py` (minutes), or with `--keys 200000 --seconds 3` to try it.

The load is open-loop: batches of requests (half SET, half GET, keys at random) are due at times that are fixed
before, at 30 % of the rate that the same batches reach when each waits for the one before. A batch's latency counts
from when it was due, so a server that stalls is charged for all that piles up. "quiet" are the batches that were due
while no snapshot was made, "during" those due between BGSAVE and its end. The server runs on one processor, the load on
another, where there are two; the snapshot's child or thread shares the server's.

Extra memory is the growth of the server's resident memory while a snapshot is made, plus what the child has copied
(rdb_last_cow_size), over the resident memory before. Limits: one machine, a disk whose speed others share, a load
generator in Python, whose own pauses (some 0.1 ms) are in every figure.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from comparison_servers import free_port, kvcy_root, pinned, receive

VALUE_BYTES = 64
BATCH = 40
CONNECTIONS = 8
SHARE = 0.3
CALM_S = 1.0  # after the load begins, and after each snapshot: what belongs to neither
SAVES = 3
SERVERS = {
    "kvcy, fork": ["kvcy", "--appendonly", "no", "--snapshot-method", "fork"],
    "kvcy, log, thread": ["kvcy", "--appendonly", "yes", "--snapshot-method", "thread"],
    "kvcy, log, fork": ["kvcy", "--appendonly", "yes", "--snapshot-method", "fork"],
    "redis": ["redis"],
}


class Server:
    """A server of its own, filled with keys."""

    def __init__(self, words: Sequence[str], keys: int, directory: str) -> None:
        self.port = free_port()
        program = [sys.executable, "-m", "kvcy"] if words[0] == "kvcy" else ["redis-server"]
        never = ["--auto-aof-rewrite-percentage", "0", "--save", ""]
        line = [*program, "--port", str(self.port), "--dir", directory, *words[1:], *never]
        environment = dict(os.environ, PYTHONPATH=str(kvcy_root()), PYTHONSAFEPATH="1")
        with pinned(0 if (os.cpu_count() or 1) > 1 else None), Path(directory, "output").open("wb") as output:
            self.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        self.admin = self._connect()
        for first in range(0, keys, 1000):
            self.admin.sendall(b"".join(set_command(key) for key in range(first, first + 1000)))
            receive(self.admin, 5000)

    def _connect(self) -> socket.socket:
        for _ in range(1000):
            try:
                return self.connect()
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise SystemExit("the server did not start")

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def info(self, *fields: str) -> list[str]:
        self.admin.sendall(b"INFO everything\r\n")
        text = self.admin.recv(1 << 16).decode()
        return [found[1] if (found := re.search(rf"^{field}:(.*)\r$", text, re.MULTILINE)) else "0" for field in fields]

    def resident_bytes(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def set_command(key: int) -> bytes:
    return b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" % (key, VALUE_BYTES, b"v" * VALUE_BYTES)


def get_command(key: int) -> bytes:
    return b"*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n" % key


REPLY_BYTES = BATCH // 2 * (len(b"+OK\r\n") + len(b"$64\r\n\r\n") + VALUE_BYTES)


def batches(keys: int) -> list[bytes]:
    """Different ones, used in turn."""
    draw = random.Random(1).randrange
    return [
        b"".join(set_command(draw(keys)) + get_command(draw(keys)) for _ in range(BATCH // 2)) for _ in range(20_000)
    ]


def saturation(server: Server, load: Sequence[bytes], seconds: float) -> float:
    """Batches a second when every connection always has one under way."""
    connections = [server.connect() for _ in range(CONNECTIONS)]
    done, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for connection in connections:
            connection.sendall(load[done % len(load)])
            done += 1
        for connection in connections:
            receive(connection, REPLY_BYTES)
    return done / (time.monotonic() - began)


class Run:
    """The load on one server, with snapshots meanwhile."""

    def __init__(self, server: Server, load: Sequence[bytes], rate: float) -> None:
        self.server, self.load, self.rate = server, load, rate
        self.latencies: list[tuple[float, float]] = []  # when it was due, and how long it took
        self.saves: list[tuple[float, float]] = []
        self.grown = 0
        self._poll = select.epoll()
        self._due: dict[int, collections.deque[tuple[float, int]]] = {}
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(CONNECTIONS):
            one = server.connect()
            one.setblocking(False)
            self._sockets[one.fileno()] = one
            self._due[one.fileno()] = collections.deque()
            self._poll.register(one, select.EPOLLIN)
        self._received = dict.fromkeys(self._sockets, 0)

    def go(self, seconds: float) -> None:
        numbers = list(self._sockets)
        began, sent, looked = time.monotonic(), 0, 0.0
        before = self.server.resident_bytes()
        save_due = began + seconds
        while len(self.saves) < SAVES or time.monotonic() < save_due:
            now = time.monotonic()
            while (due := began + sent / self.rate) <= now:
                number = numbers[sent % len(numbers)]
                self._sockets[number].sendall(self.load[sent % len(self.load)])
                self._due[number].append((due, REPLY_BYTES))
                sent += 1
            if now >= looked + 0.02:
                looked = now
                save_due = self._watch(now, save_due, before, seconds)
            for number, _ in self._poll.poll(max(due - time.monotonic(), 0)):
                self._take(number)

    def _take(self, number: int) -> None:
        self._received[number] += len(self._sockets[number].recv(1 << 20))
        now = time.monotonic()
        due = self._due[number]
        while due and self._received[number] >= due[0][1]:
            scheduled, size = due.popleft()
            self._received[number] -= size
            self.latencies.append((scheduled, now - scheduled))

    def _watch(self, now: float, save_due: float, before: int, seconds: float) -> float:
        """Begins a snapshot when one is due, and notes the end of the one under way; when the next is due."""
        if save_due == float("inf"):
            self.grown = max(self.grown, self.server.resident_bytes() - before)
            busy, status = self.server.info("rdb_bgsave_in_progress", "rdb_last_bgsave_status")
            if busy == "1":
                return save_due
            assert status == "ok", "the snapshot failed"
            self.saves[-1] = (self.saves[-1][0], now)
            return now + seconds
        if now >= save_due and len(self.saves) < SAVES:
            self.server.admin.sendall(b"BGSAVE\r\n")
            receive(self.server.admin, len(b"+Background saving started\r\n"))
            self.saves.append((now, now))
            return float("inf")
        return save_due

    def split(self) -> tuple[list[float], list[float]]:
        """Latencies of quiet times, and during snapshots; sorted, in ms."""
        quiet, during = [], []
        first = self.latencies[0][0] + CALM_S
        for due, took in self.latencies:
            if any(began <= due <= ended for began, ended in self.saves):
                during.append(took * 1000)
            elif due >= first and not any(began - 0.1 <= due <= ended + CALM_S for began, ended in self.saves):
                quiet.append(took * 1000)
        return sorted(quiet), sorted(during)


def percentiles(sorted_ms: Sequence[float]) -> str:
    return " ".join(f"{sorted_ms[int(len(sorted_ms) * share)]:8.2f}" for share in (0.5, 0.99, 0.999))


def measure(name: str, words: Sequence[str], keys: int, seconds: float, rate: float) -> None:
    with tempfile.TemporaryDirectory(prefix="kvcy-bgsave-") as directory:
        server = Server(words, keys, directory)
        try:
            load = batches(keys)
            most = saturation(server, load, 2.0)
            run = Run(server, load, rate / BATCH if rate else most * SHARE)
            resident = server.resident_bytes()
            run.go(seconds)
            quiet, during = run.split()
            fork_us, cow = server.info("latest_fork_usec", "rdb_last_cow_size")
        finally:
            server.close()
    took = [ended - began for began, ended in run.saves]
    extra = (run.grown + int(cow)) / resident
    overwritten = run.rate * BATCH / 2 * max(took) / keys
    print(
        f"{name:18} {run.rate * BATCH / 1000:6.0f} {percentiles(quiet)}   {percentiles(during)}   "
        f"{quiet and during and during[int(len(during) * 0.999)] / quiet[int(len(quiet) * 0.999)]:5.1f} "
        f"{max(took):7.2f} {overwritten:6.0%} {extra:6.0%} {int(fork_us) / 1000:8.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=4.0, help="from one snapshot's end to the next")
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: 30 %% of saturation")
    parser.add_argument("--only", help="the servers whose names have this in them")
    args = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    print(f"{'':18} {'1000/s':>6} {'quiet ms: 50 %    99 %   99.9 %':>26}   {'during ms: 50 %   99 %  99.9 %':>26}   "
          f"ratio seconds overwr  extra  fork ms")
    for name, words in SERVERS.items():
        if not args.only or args.only in name:
            measure(name, words, args.keys, args.seconds, args.rate)


if __name__ == "__main__":
    main()
