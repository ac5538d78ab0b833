"""Bytes to and from a server over a blocking socket: what the synchronous client does not share with the other."""

from __future__ import annotations

import collections
import contextlib
import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator

from kvcy.client._address import Address
from kvcy.client.errors import CallTimeoutError, ConnectError, ConnectionLostError

RECEIVE_BYTES = 65536
AT_ONCE_BYTES = 65536  # so much the system takes from a sender though the receiver does not read
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stream:
    """One connection's bytes. A failed call leaves it in an unknown place: close it then."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._deadline: float | None = None
        self._limit_s: float | None = None
        self._early: collections.deque[bytes] = collections.deque()  # received while sending

    @classmethod
    def connect(cls, address: Address, timeout_s: float | None) -> Stream:
        """Connects within `timeout_s` seconds (None: no limit).

        Raises:
            ConnectError: the server cannot be reached.
            CallTimeoutError: the time was over.
        """
        try:
            if address.path is not None:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.settimeout(timeout_s)
                sock.connect(address.path)
                return cls(sock)
            sock = socket.create_connection((address.host, address.port), timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)
            return cls(sock)
        except TimeoutError:
            raise CallTimeoutError(f"no connection to {address} within {timeout_s} seconds") from None
        except OSError as error:
            raise ConnectError(f"cannot connect to {address}: {error}") from error

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Bounds what is done inside; raises CallTimeoutError when the time is over."""
        self._limit_s = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds
        yield

    def _left_s(self) -> float | None:
        """What is left of the time; None: there is no limit."""
        if self._deadline is None:
            return None
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _arm(self) -> None:
        """Lets the next socket call take what is left of the time."""
        self._socket.settimeout(self._left_s())

    def send(self, data: bytes) -> None:
        """Sends all of `data`. What comes meanwhile is kept for receive(): a server may take no more before its replies
        are taken."""
        try:
            if len(data) > AT_ONCE_BYTES:
                self._send_and_receive(memoryview(data))
                return
            self._arm()
            self._socket.sendall(data)
        except TimeoutError:
            raise CallTimeoutError(f"no answer within {self._limit_s} seconds") from None
        except OSError as error:
            raise ConnectionLostError(f"the connection broke while sending: {error}") from error

    def _send_and_receive(self, rest: memoryview) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        self._socket.settimeout(0)
        while rest:
            left_s = self._left_s()
            poll.poll(None if left_s is None else math.ceil(left_s * 1000))
            with contextlib.suppress(*_NOT_NOW):
                rest = rest[self._socket.send(rest) :]
                continue
            with contextlib.suppress(*_NOT_NOW):
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionLostError("the server closed the connection")
                self._early.append(data)

    def receive(self) -> bytes:
        """The next bytes.

        Raises:
            ConnectionLostError: the server closed the connection, or it broke.
        """
        if self._early:
            return self._early.popleft()
        try:
            self._arm()
            data = self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            raise CallTimeoutError(f"no answer within {self._limit_s} seconds") from None
        except OSError as error:
            raise ConnectionLostError(f"the connection broke while receiving: {error}") from error
        if not data:
            raise ConnectionLostError("the server closed the connection")
        return data

    def quiet(self) -> bool:
        """Whether nothing has come since the last reply: not even the server's closing."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not self._early and not poll.poll(0)

    def close(self) -> None:
        """Closes at once, whatever was under way."""
        self._socket.close()


class Slots:
    """A number of places, waited for by threads."""

    def __init__(self, count: int) -> None:
        self._semaphore = threading.Semaphore(count)

    def take(self, timeout_s: float | None) -> None:
        """Takes a place.

        Raises:
            CallTimeoutError: none was free within `timeout_s` seconds.
        """
        if not self._semaphore.acquire(timeout=timeout_s):
            raise CallTimeoutError(f"no free connection within {timeout_s} seconds")

    def give(self) -> None:
        """Gives a place back."""
        self._semaphore.release()
