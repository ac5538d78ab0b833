"""The server's process: going to the background, its pid file, its descriptors, and telling systemd that it is ready.

All of it is done from the main thread; `background` must be called before any thread is started.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator

from kvcy.server.logs import Log

SPARE_DESCRIPTORS = 64  # for what is not a client: listeners, log, epoll, eventfds
READY = b"+"


class Launcher:
    """Whoever started the server waits for `ready` or `failed`."""

    def __init__(self, pipe: int = -1) -> None:
        self._pipe = pipe  # to the parent process that waits; -1: there is none

    def ready(self) -> None:
        self._tell(READY)

    def failed(self, line: str) -> None:
        """One line for the user, on standard error."""
        if self._pipe >= 0:
            self._tell(line.encode("utf-8", "backslashreplace"))
        else:
            print(line, file=sys.stderr)

    def _tell(self, data: bytes) -> None:
        if self._pipe >= 0:
            with contextlib.suppress(OSError):
                os.write(self._pipe, data)
            os.close(self._pipe)
            self._pipe = -1


def background() -> Launcher:
    """Goes on in a child process of a session of its own. The parent waits until the child listens, or has failed and
    said why, and never returns."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writing)
        _wait_for_child(reading)
    os.close(reading)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    return Launcher(writing)


def _wait_for_child(reading: int) -> None:
    parts = []
    while part := os.read(reading, 4096):
        parts.append(part)
    said = b"".join(parts)
    if said == READY:
        os._exit(0)
    os.write(2, (said or b"kvcy-server: the server ended before it could be reached") + b"\n")
    os._exit(1)


@contextlib.contextmanager
def pid_file(path: str, log: Log) -> Iterator[None]:
    """Holds the process's number in a file; "" is none. Failing to write it is not fatal."""
    try:
        if path:
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
    except OSError as error:
        log.warning(f"Failed to write PID file {path}: {error.strerror}")
        path = ""
    try:
        yield
    finally:
        if path:
            with contextlib.suppress(OSError):
                os.unlink(path)


def allow_clients(clients: int) -> int:
    """Raises the limit of open descriptors so far that this many clients fit; returns how many do."""
    wanted = clients + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        with contextlib.suppress(OSError, ValueError):
            if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < raised:
                resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return clients if soft == resource.RLIM_INFINITY else min(clients, max(soft - SPARE_DESCRIPTORS, 1))


def notify_systemd(text: str) -> None:
    """Tells systemd about a change of state ("READY=1"), if it has started this process (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect("\0" + address[1:] if address[0] == "@" else address)
        sender.sendall(text.encode())
