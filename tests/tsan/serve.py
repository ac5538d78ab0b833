"""Whole servers under ThreadSanitizer, for as many seconds as are given: reactors, the Unix socket's clients, the
helper, flusher, upkeep, loading and snapshots, all on one store.

The servers (restless_server.py) are of the tree that this file is in, which must be built with ThreadSanitizer; this
process needs a kvcy that is not, from anywhere. The load is tests/soak.py's, without pauses, and what is added here:
what looks at other clients or is set for all of them, groups of connections, clients that read late. Each life of a
server has the data of one before to load, and every other life is ended under load. A report of a race, an unexpected
reply and an unexpected line of the log all are failures.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

TSAN = Path(__file__).resolve().parent
sys.path.append(str(TSAN.parent))

import kvcy_server  # noqa: E402  (from a path that was arranged)
import soak  # noqa: E402
from kvcy_server import Client, Server  # noqa: E402
from soak import Soak, unexpected  # noqa: E402

LIFE_S = 15  # at most, of one server
REPORTED = 66
KINDS = [
    ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "48mb"],
    ["--appendonly", "no", "--snapshot-method", "thread", "--ordered-index", "yes", "--latency-tracking", "yes"],
]


class Load(Soak):
    """soak.py's load, and more of what crosses threads."""

    def crowd(self, client: Client, random: Random) -> None:
        with ExitStack() as stack:
            crowd = [stack.enter_context(self.connect(random)) for _ in range(24)]
            for _ in range(10):
                pipelines = [
                    [[b"INCR", self.key(random)], [b"GET", self.key(random)]] * random.randint(1, 30) for _ in crowd
                ]
                for one, commands in zip(crowd, pipelines, strict=True):
                    one.send(*commands)
                for one, commands in zip(crowd, pipelines, strict=True):
                    for _ in commands:
                        one.read()

    def looks(self, client: Client, random: Random) -> None:
        self.ask(client, [b"CLIENT", b"SETNAME", b"n" * random.randint(1, 30)], [b"CLIENT", b"LIST"])
        self.ask(client, [b"CLIENT", b"NO-EVICT", b"on"], [b"CLIENT", b"NO-TOUCH", b"on"], [b"HELLO", b"3"])
        self.ask(client, [b"SELECT", b"1"], [b"SELECT", b"0"], [b"CLIENT", b"INFO"], [b"RESET"])
        self.ask(client, [b"INFO", b"everything"], [b"SLOWLOG", b"GET"], [b"SLOWLOG", b"LEN"])
        self.ask(client, [b"LATENCY", b"LATEST"], [b"LATENCY", b"HISTOGRAM"], [b"MEMORY", b"STATS"], [b"DBSIZE"])
        self.ask(client, [b"MEMORY", b"USAGE", self.key(random)], [b"OBJECT", b"ENCODING", self.key(random)])
        self.ask(client, random.choice([[b"CONFIG", b"RESETSTAT"], [b"SLOWLOG", b"RESET"], [b"LATENCY", b"RESET"]]))
        client.send([b"NONSENSE"], [b"CLIENT", b"REPLY", b"SKIP"], [b"RANDOMKEY"], [b"PING"])
        assert client.read().startswith(b"-ERR") and client.read() == b"+PONG\r\n"

    def settings(self, client: Client, random: Random) -> None:
        name, values = random.choice(
            [
                (b"slowlog-log-slower-than", [b"0", b"100", b"-1"]),
                (b"slowlog-max-len", [b"0", b"10", b"1000"]),
                (b"latency-monitor-threshold", [b"0", b"1"]),
                (b"latency-tracking", [b"yes", b"no"]),
                (b"maxmemory-clients", [b"0", b"1gb"]),
                (b"maxmemory", [b"0", b"48mb"]),
                (b"proto-max-bulk-len", [b"512mb", b"256mb"]),
                (b"timeout", [b"0", b"1000"]),
                (b"client-output-buffer-limit", [b"normal 0 0 0", b"normal 900mb 800mb 60"]),
                (b"notify-keyspace-events", [b"KEA", b""]),
                (b"requirepass", [b""]),
                (b"ordered-index", [b"yes", b"no"]),
                (b"wake-coalescing-us", [b"0", b"200"]),
            ]
        )
        self.ask(client, [b"CONFIG", b"SET", name, random.choice(values)])

    def watches(self, client: Client, random: Random) -> None:
        keys = [b"key:%05d" % number for number in random.sample(range(30_000), 2000)]
        self.ask(client, [b"WATCH", *keys], [b"MULTI"], [b"KEYS", b"key:12*"], [b"SET", keys[0], b"w"], [b"INFO"])
        self.ask(client, random.choice([[b"EXEC"], [b"DISCARD"], [b"RESET"]]))

    def reads_late(self, client: Client, random: Random) -> None:
        self.ask(client, [b"SET", b"late", b"l" * (1 << 20)])
        gets = [[b"GET", b"late"]] * 12
        client.send(*gets)
        self.ends.wait(0.05)
        for _ in gets:
            self.check(client.read())

    WORKERS = (*Soak.WORKERS, crowd, looks, settings, watches, reads_late)


def life(server: Server, seconds: float, seed: int) -> list[str]:
    """A server's life; what was wrong with it."""
    load = Load(server, seed)
    load.ends.clear()
    threads = [threading.Thread(target=load.work, args=item[::-1]) for item in enumerate(load.WORKERS)]
    for thread in threads:
        thread.start()
    load.ends.wait(seconds)
    if seed % 2:
        load.ends.set()
        for thread in threads:
            thread.join()
    wrong = list(load.wrong)
    status = server.stop()
    load.ends.set()
    for thread in threads:
        thread.join()
    print(f"a life with {sum(load.done.values())} visits", flush=True)
    return wrong + unexpected(server.log) + [f"it ended with {status}"] * (status != 0)


def play(seconds: float, prefix: Sequence[str]) -> list[str]:
    """What was wrong in all lives of the servers."""
    soak.PAUSE_S = 0
    wrong: list[str] = []
    lives = max(2, round(seconds / LIFE_S))
    with tempfile.TemporaryDirectory(prefix="kvcy-tsan-") as directory:
        for number in range(lives):
            kind = number % len(KINDS)
            place = Path(directory, str(kind))
            place.mkdir(exist_ok=True)
            options = ["--dir", str(place), "--io-threads", "3", "--maxmemory-policy", "allkeys-lru"]
            options += KINDS[kind]
            program = [str(TSAN / "restless_server.py")]
            with kvcy_server.running(*options, prefix=prefix, program=program) as server:
                wrong += life(server, seconds / lives, number // len(KINDS))
    return wrong


def race_is_reported(prefix: Sequence[str]) -> bool:
    """Whether a server in which threads have raced says so at its end."""
    with kvcy_server.running(prefix=prefix, program=[str(TSAN / "restless_server.py"), "race"]) as server:
        return server.stop() == REPORTED


if __name__ == "__main__":
    command, *prefix = sys.argv[1:]
    if command == "race":
        sys.exit(0 if race_is_reported(prefix) else "ThreadSanitizer does not report a server's race that is there")
    sys.exit("\n".join(play(float(command), prefix)) or 0)
