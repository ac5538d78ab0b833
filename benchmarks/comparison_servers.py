"""Starts the servers that the benchmarks compare, and reads from /proc what they take.

Every server runs on a free port of the loopback, on the processor it is given, with its own defaults but for the
options it is given; it ends with its block. `running` starts one in an empty directory of its own, without persistence.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT_S = 120
BATCH = 500
IN_MEMORY = ["--save", "", "--appendonly", "no"]


def process_cpu_ns(pid: int) -> int:
    """CPU time, user and system, of all threads; to 10 ms where the kernel keeps no schedstat."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    exact = sum(int(path.read_text().split()[0]) for path in threads)
    if exact:
        return exact
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def receive(connection: socket.socket, size: int) -> None:
    """Receives so many bytes, and forgets them."""
    while size > 0:
        received = len(connection.recv(min(size, 1 << 20)))
        if received == 0:
            raise ConnectionError("closed by the server")
        size -= received


class Server:
    """A running server: its process and its port."""

    ping = b"PING\r\n"

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), START_TIMEOUT_S)

    def resident_bytes(self) -> int:
        """Memory of the process that is in RAM."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_ns(self) -> int:
        return process_cpu_ns(self.process.pid)

    def set_command(self, number: int, value: bytes) -> bytes:
        """What sets key:<12 digits>."""
        return b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" % (number, len(value), value)

    def count(self) -> int:
        """How many keys the server holds."""
        return int(self.ask(b"DBSIZE\r\n")[1:])

    def ask(self, request: bytes) -> bytes:
        """The first line of the answer."""
        with self.connect() as connection, connection.makefile("rwb") as stream:
            stream.write(request)
            stream.flush()
            line: bytes = stream.readline()
            return line.rstrip()

    def fill(self, keys: int, value: bytes) -> None:
        """Sets key:000000000000 and on, and looks that they are there."""
        with self.connect() as connection, connection.makefile("rb") as replies:
            for first in range(0, keys, BATCH):
                batch = range(first, min(first + BATCH, keys))
                connection.sendall(b"".join([self.set_command(number, value) for number in batch]))
                for _ in batch:
                    replies.readline()
        if (held := self.count()) != keys:
            raise RuntimeError(f"{keys} keys were set and {held} are there")


class Memcached(Server):
    """The same by memcached's own protocol."""

    ping = b"version\r\n"

    def set_command(self, number: int, value: bytes) -> bytes:
        return b"set key:%012d 0 0 %d\r\n%s\r\n" % (number, len(value), value)

    def count(self) -> int:
        with self.connect() as connection, connection.makefile("rwb") as stream:
            stream.write(b"stats\r\n")
            stream.flush()
            for line in stream:
                if line.startswith(b"STAT curr_items "):
                    return int(line.split()[2])
        raise RuntimeError("memcached tells no curr_items")


def kvcy_root() -> Path:
    """The directory that holds the kvcy package of this interpreter."""
    import kvcy

    return Path(kvcy.__file__).resolve().parent.parent


def version(name: str) -> str:
    """The version of a server's program, such as 7.0.15."""
    if name == "kvcy":
        import kvcy

        return kvcy.__version__
    program = {"redis": "redis-server"}.get(name, name)
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else "unknown"


def available() -> list[str]:
    """The servers that this machine has."""
    programs = {"redis": "redis-server", "memcached": "memcached"}
    return ["kvcy", *(name for name, program in programs.items() if shutil.which(program))]


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(name: str, port: int, directory: str, *options: str) -> list[str]:
    """The command line that starts a server; `options` are kvcy's or redis's."""
    if name != "memcached":
        program = [sys.executable, "-m", "kvcy"] if name == "kvcy" else ["redis-server"]
        return [*program, "--port", str(port), "--dir", directory, *options]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "16384", "-c", "20000", *user]


@contextlib.contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Processes started in the block run on one processor; None: anywhere."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def started(name: str, cpu: int | None, directory: str, *options: str) -> Iterator[Server]:
    """A server on this directory, which may not accept connections yet."""
    port = free_port()
    environment = dict(os.environ, PYTHONPATH=str(kvcy_root()), PYTHONSAFEPATH="1")
    line = command(name, port, directory, *options)
    with pinned(cpu), Path(directory, "log").open("wb") as output:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        yield Memcached(process, port) if name == "memcached" else Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(name: str, cpu: int | None, *options: str) -> Iterator[Server]:
    """A fresh server that accepts connections; `options` are kvcy's or redis's."""
    with tempfile.TemporaryDirectory(prefix="kvcy-compare-") as directory:
        given = [*IN_MEMORY, *options]
        with started(name, cpu, directory, *given) as server:
            await_connections(name, server, Path(directory, "log"))
            yield server


def await_connections(name: str, server: Server, log: Path) -> None:
    """Returns when the server accepts connections, and serves them."""
    end = time.monotonic() + START_TIMEOUT_S
    while server.process.poll() is None and time.monotonic() < end:
        try:
            if not server.ask(server.ping).startswith(b"-LOADING"):
                return
        except OSError:
            pass
        time.sleep(0.05)
    status = server.process.poll()
    why = f"in {START_TIMEOUT_S} s" if status is None else f"and ended with {status}"
    raise RuntimeError(f"{name} did not start {why}:\n{log.read_text(errors='replace')}")
