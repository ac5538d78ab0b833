"""How long a server takes to start on its data, from the system's call to the first +PONG: kvcy beside redis-server.

Run: `python benchmarks/start.py` (minutes), or with `--keys 200000 --rounds 1` to try it.

Keys of 16 bytes with values of 32. *Snapshot*: the data are in a snapshot, and with kvcy's defaults there is a log
behind it, which is empty; Redis loads an RDB file. *Log*: they are in the log alone; Redis loads an AOF without an RDB
preamble, of the same SETs. *Empty*: there are none. The servers take turns on one processor, the same for all, and a
client on another, where there are two, asks every few milliseconds. Each is killed once it has answered, so it always
starts on the same files, which are in the system's cache. Figures are medians, the ratios those of the ratios within
a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from comparison_servers import IN_MEMORY, START_TIMEOUT_S, Server, await_connections, started

ASK_EVERY_S = 0.005
VALUE = bytes(range(32))
NEVER_SAVED = ["--save", "", "--auto-aof-rewrite-percentage", "0"]
LOGGED = ["--appendonly", "yes", *NEVER_SAVED]
WAYS = {
    "snapshot": {"kvcy": LOGGED, "redis": IN_MEMORY},
    "log": {"kvcy": LOGGED, "redis": [*LOGGED, "--aof-use-rdb-preamble", "no"]},
    "empty": {"kvcy": LOGGED, "redis": IN_MEMORY},
}


def make_data(way: str, name: str, directory: str, keys: int) -> None:
    """Leaves the server's files in the directory."""
    with started(name, None, directory, *WAYS[way][name]) as server:
        await_connections(name, server, Path(directory, "log"))
        server.fill(keys if way != "empty" else 0, VALUE)
        if way == "snapshot" and (answer := server.ask(b"SAVE\r\n")) != b"+OK":
            sys.exit(f"{name} could not save: {answer.decode()}")
        server.process.terminate()
        server.process.wait()


def await_pong(server: Server) -> None:
    """Asks until it is answered +PONG: on one connection, once there is one."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            with server.connect() as connection:
                while not connection.sendall(server.ping) and (answer := connection.recv(1000)):
                    if answer == b"+PONG\r\n":
                        return
                    time.sleep(ASK_EVERY_S)
        except ConnectionError:
            time.sleep(ASK_EVERY_S)
    sys.exit("the server did not start")


def start_s(way: str, name: str, cpu: int | None, directory: str, keys: int) -> float:
    began_s = time.monotonic()
    with started(name, cpu, directory, *WAYS[way][name]) as server:
        await_pong(server)
        took_s = time.monotonic() - began_s
        if (held := server.count()) != (keys if way != "empty" else 0):
            sys.exit(f"{name} holds {held} keys after its start")
        server.process.kill()
    return took_s


def main() -> None:
    parser = argparse.ArgumentParser(description="Starting on data: kvcy and Redis.")
    parser.add_argument("--keys", type=int, default=5_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--all-processors", action="store_true", help="let the servers use them all")
    options = parser.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    cpu = None if options.all_processors or len(allowed) == 1 else allowed[0]
    if cpu is not None:
        os.sched_setaffinity(0, {allowed[-1]})
    for way in options.ways:
        times: dict[str, list[float]] = {"kvcy": [], "redis": []}
        with ExitStack() as stack:
            place = {name: stack.enter_context(tempfile.TemporaryDirectory(prefix="kvcy-start-")) for name in times}
            for name, directory in place.items():
                make_data(way, name, directory, options.keys)
            for _ in range(options.rounds):
                for name, directory in place.items():
                    times[name].append(start_s(way, name, cpu, directory, options.keys))
        ratio = statistics.median(redis / kvcy for kvcy, redis in zip(times["kvcy"], times["redis"], strict=True))
        shown = ", ".join(f"{name} {statistics.median(each):.3f} s" for name, each in times.items())
        print(f"{way:10} {shown}: Redis takes {ratio:.2f} times as long", flush=True)


if __name__ == "__main__":
    main()
