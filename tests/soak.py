"""Mixed load with faults, for as long as wanted: the server must say no error, and take no more at the end than before.

Run: `python tests/soak.py 1200` (seconds), or as a test, tests/test_soak.py. The load is low: each of the workers below
pauses after what it does. The time is cut into parts. After each part everybody leaves, the data are dropped, and
what the server takes is read: resident memory, open files, threads. The first two parts warm up; the most that is read
after them is what the least of the last parts is compared with (`grown`).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import kvcy_server
import resp
from kvcy_server import Client, Server

from kvcy.engine.directory import Directory, Manifest

SEGMENT_BYTES = 1 << 20
MAXMEMORY = 48 << 20
PAUSE_S = 0.02
SETTLE_S = 30
PARTS = 8
LOOKS, LOOK_EVERY_S = 5, 0.2  # upkeep gives memory back meanwhile
WARM_UP_PARTS, LAST_PARTS = 2, 4
# What may be more at the end. Resident memory: what the heaps of the threads keep differs from part to part by some MB,
# whatever the time; a leak in any of the faults, which come thousands of times in the long form, is more. Files: the
# log may have one more segment open, and a snapshot be written. Threads: trio keeps idle ones for ten seconds.
MEMORY_BYTES_MORE = 8 << 20
FILES_MORE = 3
THREADS_MORE = 8
EXPECTED = (
    b"-ERR Background save already",
    b"-ERR Another child process is active (AOF?)",  # the log grew enough for a snapshot of its own
    b"-ERR no such key",
    b"-ERR No such client",
    b"-ERR source and destination objects are the same",
)


@dataclass(frozen=True)
class Taken:
    """What the server takes."""

    memory_bytes: int
    files: int
    threads: int


def most(parts: Sequence[Taken]) -> Taken:
    return Taken(*(max(column) for column in zip(*map(astuple, parts), strict=True)))


def least(parts: Sequence[Taken]) -> Taken:
    return Taken(*(min(column) for column in zip(*map(astuple, parts), strict=True)))


def taken(server: Server) -> Taken:
    process = Path(f"/proc/{server.process.pid}")
    return Taken(server.resident_bytes(), len(os.listdir(process / "fd")), len(os.listdir(process / "task")))


def grown(parts: Sequence[Taken]) -> list[str]:
    """What has grown beyond the tolerance."""
    before, after = most(parts[:WARM_UP_PARTS]), least(parts[-LAST_PARTS:])
    more = {
        "resident bytes": (before.memory_bytes, after.memory_bytes, MEMORY_BYTES_MORE),
        "files": (before.files, after.files, FILES_MORE),
        "threads": (before.threads, after.threads, THREADS_MORE),
    }
    return [f"{what}: {old}, then {new}" for what, (old, new, room) in more.items() if new > old + room]


class Soak:
    """The load on one server."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.ends = threading.Event()
        self.wrong: list[str] = []
        self.done: dict[str, int] = {}

    # --- what clients do: each call is one visit of a worker

    def connect(self, random: Random) -> Client:
        return self.server.connect_unix() if random.random() < 0.2 else self.server.connect()

    def check(self, reply: bytes) -> bytes:
        if reply.startswith(b"-") and not reply.startswith(EXPECTED):
            self.wrong.append(repr(reply[:100]))
        return reply

    def ask(self, client: Client, *commands: list[bytes]) -> list[bytes]:
        client.send(*commands)
        return [self.check(client.read()) for _ in commands]

    def key(self, random: Random) -> bytes:
        return b"key:%05d" % random.randrange(30_000)

    def ordinary(self, client: Client, random: Random) -> None:
        commands = []
        for _ in range(random.randint(1, 60)):
            key = self.key(random)
            commands.append(
                random.choice(
                    [
                        [b"SET", key, b"v" * random.randrange(2000)],
                        [b"SET", key, b"1", b"PX", b"%d" % random.randint(1, 3000)],
                        [b"GET", key],
                        [b"DEL", key],
                        [b"EXPIRE", key, b"%d" % random.randint(0, 5)],
                        [b"INCR", b"counter:%d" % random.randrange(100)],
                        [b"APPEND", key, b"v" * random.randrange(500)],
                        [b"RENAME", key, self.key(random)],
                        [b"COPY", key, self.key(random), b"REPLACE"],
                    ]
                )
            )
        self.ask(client, *commands)

    def transactions(self, client: Client, random: Random) -> None:
        keys = [self.key(random) for _ in range(3)]
        self.ask(client, [b"WATCH", *keys], [b"GET", keys[0]])
        writes = [[b"SET", key, b"w" * random.randrange(200)] for key in keys]
        self.ask(client, [b"MULTI"], *writes, [b"INFO", b"server"], random.choice([[b"EXEC"], [b"DISCARD"]]))

    def many_keys(self, client: Client, random: Random) -> None:
        keys = [self.key(random) for _ in range(random.choice([10, 500, 3000]))]
        pairs = [word for key in keys for word in (key, b"m" * random.randrange(100))]
        self.ask(client, [b"MSET", *pairs], [b"MGET", *keys], [b"EXISTS", *keys], [b"DEL", *keys[::2]])
        self.ask(client, [b"MULTI"], *([b"SET", key, b"t"] for key in keys), [b"EXEC"])

    def ranges(self, client: Client, random: Random) -> None:
        low, high = b"[" + self.key(random), b"[" + self.key(random)
        self.ask(
            client,
            [b"KRANGE", low, high, b"LIMIT", b"0", b"1000"],
            [b"KCOUNT", low, high],
            [b"KDEL", low, low + b"\xff"],
            [b"KEYS", b"key:1*"],
            [b"SCAN", b"0", b"COUNT", b"1000", b"MATCH", b"*7*"],
        )

    def large(self, client: Client, random: Random) -> None:
        key = b"large:%d" % random.randrange(4)
        value = b"l" * random.randrange(3 << 20)
        self.ask(client, [b"SET", key, value], [b"GET", key], [b"APPEND", key, b"x" * 70_000])
        self.ask(client, [b"GETRANGE", key, b"5", b"-5"])

    def administration(self, client: Client, random: Random) -> None:
        policies = [b"allkeys-lru", b"allkeys-lfu", b"allkeys-random", b"allkeys-sieve", b"allkeys-s3fifo"]
        command = random.choice(
            [
                [b"BGSAVE"],
                [b"CONFIG", b"SET", b"maxmemory", b"%d" % (MAXMEMORY + random.randrange(MAXMEMORY))],
                [b"CONFIG", b"SET", b"wake-coalescing-us", b"%d" % random.randrange(200)],
                [b"CONFIG", b"SET", b"slowlog-log-slower-than", b"%d" % random.randrange(10_000)],
                [b"CONFIG", b"SET", b"appendfsync", random.choice([b"always", b"everysec", b"no"])],
                [b"CONFIG", b"SET", b"maxmemory-policy", random.choice(policies)],
                [b"INFO", b"everything"],
                [b"SLOWLOG", b"GET"],
                [b"CLIENT", b"LIST"],
                [b"MEMORY", b"PURGE"],
                [b"FLUSHDB"],
                [b"SWAPDB", b"0", b"1"],
                [b"LATENCY", b"HISTOGRAM"],
            ]
        )
        self.ask(client, command)

    def deaths(self, client: Client, random: Random) -> None:
        """A client of its own that dies in the midst of something."""
        with self.connect(random) as dying:
            whole = resp.encode([b"SET", b"large:d", b"d" * random.choice([10, 40_000, 2_000_000])])
            beginning = random.choice(
                [
                    whole[: random.randrange(len(whole))],
                    resp.encode([b"GET", b"large:0"]) * 20,
                    b"".join(
                        map(resp.encode, [[b"WATCH", self.key(random)], [b"MULTI"], *[[b"SET", b"a", b"b"]] * 50])
                    ),
                    resp.encode([b"MGET", *(self.key(random) for _ in range(3000))]),
                    resp.encode([b"KEYS", b"*"]),
                    resp.encode([b"INFO"]),
                    b"*3\r\n$-5\r\nnonsense",
                ]
            )
            dying.socket.settimeout(5)
            with contextlib.suppress(OSError):
                dying.socket.sendall(beginning)
                if random.random() < 0.5:  # a reset instead of an end
                    dying.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def visits(self, client: Client, random: Random) -> None:
        with self.connect(random) as other:
            self.ask(other, [b"CLIENT", b"SETNAME", b"visitor"], [b"SELECT", b"1"], [b"SET", self.key(random), b"1"])
            if random.random() < 0.5:
                self.ask(other, [b"QUIT"])

    def kills(self, client: Client, random: Random) -> None:
        with self.connect(random) as victim:
            number = self.ask(victim, [b"CLIENT", b"ID"])[0][1:-2]
            victim.send([b"WATCH", b"a"], [b"MULTI"], [b"SET", b"a", b"1"])
            self.ask(client, [b"CLIENT", b"KILL", b"ID", number])

    WORKERS: tuple[Callable[..., None], ...] = (
        ordinary, ordinary, transactions, many_keys, ranges, large, administration, deaths, visits, kills,
    )  # fmt: skip

    # --- the whole

    def work(self, worker: Callable[[Soak, Client, Random], None], number: int) -> None:
        random = Random(f"{self.seed} {number}")
        name = worker.__name__
        try:
            while not self.ends.is_set():
                with self.connect(random) as client:
                    for _ in range(random.randint(1, 50)):
                        worker(self, client, random)
                        self.done[name] = self.done.get(name, 0) + 1
                        if self.ends.wait(PAUSE_S):
                            break
        except Exception as error:
            self.wrong.append(f"{name}: {error!r}")

    def part(self, seconds: float, seed: int) -> Taken:
        """A part of the load, and what the server takes after it."""
        self.ends.clear()
        self.seed = seed
        threads = [threading.Thread(target=self.work, args=item[::-1]) for item in enumerate(self.WORKERS)]
        for thread in threads:
            thread.start()
        self.ends.wait(seconds)
        self.ends.set()
        for thread in threads:
            thread.join()
        return self.settled()

    def settled(self) -> Taken:
        """What the server takes when everybody has left and the data are dropped: the least of some looks."""
        looks: list[Taken] = []
        end = time.monotonic() + SETTLE_S
        with self.server.connect() as client:
            self.ask(client, [b"FLUSHALL"], [b"CONFIG", b"SET", b"appendfsync", b"everysec"])
            while len(looks) < LOOKS and time.monotonic() < end:
                self.ask(client, [b"MEMORY", b"PURGE"])
                info = self.ask(client, [b"INFO", b"everything"])[0]
                if b"connected_clients:1\r" in info and b"rdb_bgsave_in_progress:0\r" in info:
                    looks.append(taken(self.server))
                time.sleep(LOOK_EVERY_S)
        return least(looks or [taken(self.server)])


def unexpected(log: list[str]) -> list[str]:
    """The lines of a server's log that tell of something wrong: warnings, and what is no line of a log."""
    fine = re.compile(r"\d+ \S+ \S+ (?:[-*.]|# Received SIGTERM)")
    return [line for line in log if not fine.match(line)]


def soak(seconds: float, seed: int = 0, show: Callable[[str], None] = lambda line: None) -> list[str]:
    """What was wrong."""
    with tempfile.TemporaryDirectory(prefix="kvcy-soak-") as directory:
        with Directory(Path(directory)) as made:
            made.write_manifest(Manifest.drawn(64, SEGMENT_BYTES))
        options = ["--dir", directory, "--appendonly", "yes", "--appendfsync", "everysec", "--io-threads", "3"]
        options += ["--maxmemory", str(MAXMEMORY), "--maxmemory-policy", "allkeys-lru"]
        options += ["--auto-aof-rewrite-min-size", "16mb"]
        with kvcy_server.running(*options) as server:
            load = Soak(server, seed)
            parts = []
            for number in range(PARTS):
                parts.append(load.part(seconds / PARTS, seed * PARTS + number))
                visits = sum(load.done.values())
                show(f"part {number + 1} of {PARTS}: {parts[-1]}, {visits} visits, {len(load.wrong)} wrong")
            wrong = load.wrong + grown(parts)
            ends = server.stop()
            return wrong + unexpected(server.log) + [f"it ended with {ends}"] * (ends != 0)


if __name__ == "__main__":
    found = soak(float(sys.argv[1]) if len(sys.argv) > 1 else 1200, show=lambda line: print(line, flush=True))
    sys.exit("\n".join(found) or 0)
