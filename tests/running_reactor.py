"""A reactor by itself, in a thread, that is handed one end of socket pairs."""

from __future__ import annotations

import select
import socket
import threading
import time

from kvcy_server import Client

from kvcy._core import Store
from kvcy.server.limits import ClientLimits
from kvcy.server.native import Native
from kvcy.server.reactor import Reactor
from kvcy.server.requests import Request

TIMEOUT_S = 60


class Running:
    """A reactor in a thread."""

    def __init__(self, other: Running | None = None) -> None:
        """With `other` over the same store."""
        self.store = other.store if other else Store()
        self.native = other.native if other else Native(self.store)
        self.limits = ClientLimits()
        self.reactor = Reactor(self.store, self.native.service, self.limits)
        self.thread = threading.Thread(target=self.reactor.run)
        self.thread.start()

    def connect(self, *, idle_s: float = 0, send_buffer_bytes: int = 0) -> Client:
        """A client that the reactor believes to have been idle for so long."""
        ours, theirs = socket.socketpair()
        if send_buffer_bytes:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        theirs.setblocking(False)
        self.reactor.adopt(theirs.detach(), "peer:1", "own:1", int((time.time() - idle_s) * 1000))
        return Client(ours)

    def request(self) -> Request:
        """The next command that waits for Python."""
        while True:
            ready, _, _ = select.select([self.reactor.request_fd], [], [], TIMEOUT_S)
            assert ready
            requests = self.reactor.requests()
            if requests:
                assert len(requests) == 1
                return requests[0]

    def help(self) -> None:
        """Runs the long command that waits for another thread."""
        request = self.request()
        assert request.is_long
        request.run()
        request.done()

    def end(self, *, now: bool = False) -> None:
        self.reactor.stop(now)
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive()
