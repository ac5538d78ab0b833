"""A redis-server for comparison, started by a test on a Unix socket of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import resp

TIMEOUT_S = 60


class Connection:
    """A blocking connection that sends pipelines and returns raw replies."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]:
        """The raw replies to the commands, sent as one pipeline: nothing is read before all of it is sent."""
        self.socket.sendall(b"".join(map(resp.encode, commands)))
        replies: list[bytes] = []
        rest = b""
        while len(replies) < len(commands):
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError(f"closed after {len(replies)} of {len(commands)} replies")
            more, rest = resp.split(rest + data)
            replies += more
        return replies

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


@contextmanager
def running() -> Iterator[Connection]:
    """A fresh, empty redis-server and a connection to it; both end with the block."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError(
            "redis-server is not installed: these tests compare with it (Debian: apt install redis-server)"
        )
    with tempfile.TemporaryDirectory(prefix="kvcy-redis-") as directory:
        path = str(Path(directory) / "socket")
        command = [program, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                log = []
                assert process.stdout is not None
                for line in process.stdout:
                    log.append(line)
                    if "ready to accept connections" in line.lower():
                        break
                else:
                    raise RuntimeError("redis-server did not start:\n" + "".join(log))
                connection = Connection(path)
                try:
                    yield connection
                finally:
                    connection.close()
            finally:
                process.terminate()
