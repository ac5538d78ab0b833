"""What a long command of one client does to another on the same reactor: the longest turn, and the other's latency.

Run: `python benchmarks/long_commands.py` (some minutes), on a machine that does nothing else; `--keys 10000 --rounds 1`
to try it; `--only TEXT` for the commands whose name has the text in it.

A server with one reactor holds a million keys. One client sends long commands, one after another; another sends a
GET every two milliseconds whether or not the one before it was answered, and its latency counts from when it was to be
sent. The server's turns are timed by a preloaded library (turn_times.c; it needs a C compiler): of the reactor's
longest turn the processor time, which is the server's own doing, and the time by the clock on the wall, in which there
is also what others did on its processor, and what it waited for. The same for Redis, if it is there.

Server on one processor, both clients on another: so a part of the second client's latency is the first one's work on
its own reply, and the server's other threads take turns with its reactor; the processor time has none of that in it.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import multiprocessing
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import tests_path  # noqa: F401

# isort: split
from comparison_servers import Server, pinned, receive, running
from resp import encode

INTERVAL_S = 0.002
SETTLE_S = 0.1
SLOT = struct.Struct("4q")
SLOTS = 64
HUGE_BYTES = 100_000_000
END = b"$15\r\nthe end of this\r\n"
Words = list[bytes]


class Turns:
    """The longest turns of a server's threads."""

    def __init__(self, directory: Path) -> None:
        self.library = directory / "turn_times.so"
        source = Path(__file__).with_name("turn_times.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)
        self.path = directory / "turns"
        self.path.write_bytes(bytes(SLOT.size * SLOTS))
        with self.path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "TURN_TIMES": str(self.path)}

    def reset(self) -> None:
        for at in range(0, len(self.memory), SLOT.size):
            self.memory[at + 16 : at + 32] = bytes(16)

    def longest_ms(self, pid: int, name: str) -> tuple[float, float]:
        """By processor time and by the wall, of Redis's main thread, or of all of kvcy's but its main thread."""
        slots = list(SLOT.iter_unpack(self.memory[:]))
        chosen = [slot for slot in slots if slot[0] and (slot[0] == pid) == (name == "redis")]
        return max(slot[2] for slot in chosen) / 1e6, max(slot[3] for slot in chosen) / 1e6


def probe(port: int, pipe: Connection) -> None:
    """Sends GETs at fixed times until told to end; then sends (when it was due, how long it took) of each."""
    found: list[tuple[float, float]] = []
    request = encode([b"GET", b"key:000000000001"])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        connection.recv(1 << 16)
        pipe.send("ready")
        due = time.monotonic()
        while not pipe.poll():
            due += INTERVAL_S
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            connection.sendall(request)
            connection.recv(1 << 16)
            found.append((due, time.monotonic() - due))
    pipe.send(found)


@contextlib.contextmanager
def probing(port: int) -> Iterator[list[tuple[float, float]]]:
    """Another client, in a process of its own; what it found is in the list when the block has ended."""
    found: list[tuple[float, float]] = []
    own, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=probe, args=(port, other))
    process.start()
    own.recv()
    try:
        yield found
        own.send("end")
        found += own.recv()
    finally:
        process.join()


def begin(connection: socket.socket, commands: list[Words]) -> None:
    """Has a transaction queue these; EXEC is sent by itself."""
    connection.sendall(encode([b"MULTI"]) + b"".join(map(encode, commands)))
    receive(connection, len(b"+OK\r\n") + len(b"+QUEUED\r\n") * len(commands))


def run(connection: socket.socket, request: bytes) -> float:
    """Sends a request and reads all its replies; how many seconds it took."""
    began = time.monotonic()
    connection.sendall(request + encode([b"ECHO", b"the end of this"]))
    tail = b""
    while not tail.endswith(END):
        received = connection.recv(1 << 20)
        if not received:
            raise ConnectionError("closed by the server")
        tail = (tail + received)[-len(END) :]
    return time.monotonic() - began


def names(count: int, prefix: bytes = b"key:") -> Words:
    return [prefix + b"%012d" % number for number in range(count)]


def pairs(count: int, prefix: bytes = b"key:") -> Words:
    return [word for name in names(count, prefix) for word in (name, b"v" * 32)]


class Case:
    """A command, and what must be done before each time it is sent."""

    def __init__(self, name: str, request: bytes, before: bytes | list[Words] = b"", *, own: bool = False) -> None:
        self.name = name
        self.request = request
        self.before = before  # a request, or commands for a transaction
        self.own = own  # kvcy has it, Redis has not


def many_keys(count: int) -> Iterator[Case]:
    fresh = encode([b"MSET", *pairs(count, b"new:")])
    yield Case(f"MGET of {count:,}", encode([b"MGET", *names(count)]))
    yield Case(f"EXISTS of {count:,}", encode([b"EXISTS", *names(count)]))
    yield Case(f"MSET of {count:,}, overwriting", encode([b"MSET", *pairs(count)]))
    yield Case(f"MSET of {count:,}, new", fresh, encode([b"DEL", *names(count, b"new:")]))
    yield Case(f"DEL of {count:,}", encode([b"DEL", *names(count, b"new:")]), fresh)
    yield Case(f"UNLINK of {count:,}", encode([b"UNLINK", *names(count, b"new:")]), fresh)
    yield Case(f"WATCH of {count:,}, UNWATCH", encode([b"WATCH", *names(count)]) + encode([b"UNWATCH"]))


def transactions(count: int) -> Iterator[Case]:
    sets = [[b"SET", name, b"w" * 32] for name in names(count)]
    gets = [[b"GET", name] for name in names(count)]
    yield Case(f"EXEC of {count:,} SET", encode([b"EXEC"]), sets)
    yield Case(f"EXEC of {count:,} GET", encode([b"EXEC"]), gets)
    yield Case(f"DISCARD of {count:,} SET", encode([b"DISCARD"]), sets)


def cases(keys: int) -> Iterator[Case]:
    huge = encode([b"SET", b"huge", b"v" * min(HUGE_BYTES, 1000 * keys)])
    yield Case("nothing", b"")
    yield Case("KEYS *", encode([b"KEYS", b"*"]))
    yield Case("KEYS *9", encode([b"KEYS", b"*9"]))
    yield Case("SCAN with a COUNT of all", encode([b"SCAN", b"0", b"COUNT", b"%d" % keys]))
    yield Case("KRANGE of all", encode([b"KRANGE", b"-", b"+"]), own=True)
    yield Case("KCOUNT of all", encode([b"KCOUNT", b"-", b"+"]), own=True)
    yield Case("SET of 100 MB", huge)
    yield Case("GET of 100 MB", encode([b"GET", b"huge"]), huge)
    yield Case("DEL of 100 MB", encode([b"DEL", b"huge"]), huge)
    yield Case("APPEND to 100 MB", encode([b"APPEND", b"huge", b"v"]), huge)
    yield Case("COPY of 100 MB", encode([b"COPY", b"huge", b"other", b"REPLACE"]), huge)
    for count in (1000, 10_000, 100_000, 1_000_000):
        if count <= keys:
            yield from many_keys(count)
            yield from transactions(count)
    yield Case("KDEL of all", encode([b"KDEL", b"[key:", b"(key;"]), own=True)
    yield Case("FLUSHALL", encode([b"FLUSHALL"]), b"fill")


def fill(connection: socket.socket, keys: int) -> None:
    words = pairs(keys)
    for first in range(0, len(words), 2000):
        run(connection, encode([b"MSET", *words[first : first + 2000]]))


def measure(server: Server, name: str, turns: Turns, case: Case, rounds: int, prepare: Callable[[], None]) -> None:
    """Runs the command `rounds` times and prints a line."""
    with server.connect() as connection:
        took = []
        cpu_ms = wall_ms = 0.0
        windows = []
        with probing(server.port) as found:
            for _ in range(rounds):
                if case.before == b"fill":
                    prepare()
                elif isinstance(case.before, bytes):
                    run(connection, case.before)
                else:
                    begin(connection, case.before)
                time.sleep(SETTLE_S)
                turns.reset()
                began = time.monotonic()
                took.append(run(connection, case.request))
                time.sleep(SETTLE_S)
                windows.append((began, time.monotonic()))
                cpu, wall = turns.longest_ms(server.process.pid, name)
                cpu_ms, wall_ms = max(cpu_ms, cpu), max(wall_ms, wall)
    times = sorted(took_s for due, took_s in found if any(begin <= due <= end for begin, end in windows))
    p99_ms, worst_ms = times[len(times) * 99 // 100] * 1000, times[-1] * 1000
    print(
        f"{name:5} {case.name:32} longest turn {cpu_ms:8.2f} ms of CPU, {wall_ms:8.2f} ms; "
        f"the other: p99 {p99_ms:8.2f} ms, worst {worst_ms:8.2f} ms; it took {max(took) * 1000:9.1f} ms",
        flush=True,
    )


def show(name: str, options: argparse.Namespace) -> None:
    several = (os.cpu_count() or 1) > 1
    with tempfile.TemporaryDirectory(prefix="kvcy-turns-") as directory:
        turns = Turns(Path(directory))
        os.environ.update(turns.environment())
        try:
            started = running(name, 0 if several else None, *(options.option if name == "kvcy" else ()))
            server = started.__enter__()
        finally:
            for variable in turns.environment():
                del os.environ[variable]
        with contextlib.ExitStack() as stack:
            stack.push(started.__exit__)
            stack.enter_context(pinned(1 if several else None))
            connection = stack.enter_context(server.connect())
            fill(connection, options.keys)
            for case in cases(options.keys):
                if options.only in case.name and (name == "kvcy" or not case.own):
                    measure(server, name, turns, case, options.rounds, lambda: fill(connection, options.keys))


def main() -> None:
    parser = argparse.ArgumentParser(description="What a long command of one client does to another.")
    parser.add_argument("--keys", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of each command; default: %(default)s")
    parser.add_argument("--only", default="", metavar="TEXT", help="commands whose name has this in it")
    parser.add_argument("--server", choices=["kvcy", "redis"], help="only this one; default: both")
    parser.add_argument("--option", action="append", default=[], metavar="WORD", help="for kvcy-server's command line")
    options = parser.parse_args()
    for name in ["kvcy"] + ["redis"] * (shutil.which("redis-server") is not None):
        if options.server in (None, name):
            show(name, options)


if __name__ == "__main__":
    main()
