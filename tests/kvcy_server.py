"""A kvcy-server process for tests: on a free port of the loopback, ended with its block, its log at hand."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence

import resp

TIMEOUT_S = 60
# AddressSanitizer gives nothing back to the system and pads what it gives out: no test of resident memory then.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")


# Below the numbers that the system gives to sockets by itself, and from another place in every process: what is free
# when it is drawn is still free when a server binds it, also where two test runs go on side by side.
PORTS = itertools.count(10_000 + os.getpid() * 101 % 20_000)


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = next(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Client:
    """A blocking connection that sends bytes and reads replies."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(TIMEOUT_S)
        self._rest = b""

    def send(self, *commands: Sequence[bytes | str]) -> None:
        """Sends commands as one pipeline."""
        self.socket.sendall(b"".join(map(resp.encode, commands)))

    def read(self) -> bytes:
        """The next raw reply."""
        while True:
            end = resp.reply_end(self._rest, 0) if self._rest else -1
            if end >= 0:
                reply, self._rest = self._rest[:end], self._rest[end:]
                return reply
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError("closed by the server")
            self._rest += data

    def run(self, *words: bytes | str) -> bytes:
        """The raw reply to one command."""
        self.send(words)
        return self.read()

    def read_all(self) -> bytes:
        """Everything until the server closes."""
        data = bytearray(self._rest)
        self._rest = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self.socket.recv(1 << 20):
                data += more
        return bytes(data)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Server:
    """A running kvcy-server."""

    def __init__(self, process: subprocess.Popen[str], port: int, unix_path: str) -> None:
        self.process = process
        self.port = port
        self.unix_path = unix_path
        self.log: list[str] = []
        self._log_reader = threading.Thread(target=self._read_log)

    def connect(self, host: str = "127.0.0.1") -> Client:
        return Client(socket.create_connection((host, self.port), TIMEOUT_S))

    def connect_unix(self) -> Client:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.unix_path)
        return Client(connection)

    def run(self, *words: bytes | str) -> bytes:
        """The raw reply to one command on a connection of its own."""
        with self.connect() as client:
            return client.run(*words)

    def resident_bytes(self) -> int:
        """Memory of the process that is in RAM."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(TIMEOUT_S)
        if self._log_reader.is_alive():
            self._log_reader.join(TIMEOUT_S)
        return status

    def await_ready(self) -> None:
        """Returns when the log says that clients can connect; the rest of the log is then read by a thread."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if "Ready to accept connections" in line:
                self._log_reader.start()
                return
        raise RuntimeError("kvcy-server did not start:\n" + "".join(self.log))

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)


@contextlib.contextmanager
def running(
    *options: str,
    prefix: Sequence[str] = (),
    program: Sequence[str] = ("-m", "kvcy"),
    piped: bool = False,
    ready: bool = True,
) -> Iterator[Server]:
    """A fresh server with these options; killed at the end of the block if it still runs.

    `program` is another that takes the same options; piped: its standard input and output are pipes; not ready: the
    block begins at once, and calls await_ready itself.
    """
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as directory:
        port = free_port()
        unix_path = os.path.join(directory, "socket")
        command = [
            *prefix, sys.executable, *program, "--port", str(port), "--unixsocket", unix_path, "--dir", directory,
            *options,
        ]  # fmt: skip
        stdin, stdout = (subprocess.PIPE, subprocess.PIPE) if piped else (subprocess.DEVNULL, None)
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True)
        server = Server(process, port, unix_path)
        try:
            if ready:
                server.await_ready()
            yield server
        finally:
            if process.poll() is None:
                process.kill()
            server.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
