"""Bytes to and from a server, under trio: what the generated code cannot share with the synchronous client."""

from __future__ import annotations

import collections
import contextlib
import socket
import ssl
from collections.abc import Iterator

import trio

from kvcy.client._address import Address
from kvcy.client.errors import CallTimeoutError, ConnectError, ConnectionLostError

RECEIVE_BYTES = 65536
AT_ONCE_BYTES = 65536  # so much the system takes from a sender though the receiver does not read


class Stream:
    """One connection's bytes. A failed or cancelled call leaves it in an unknown place: close it then."""

    def __init__(self, stream: trio.abc.Stream, raw: trio.SocketStream) -> None:
        self._stream = stream
        self._raw = raw
        self._early: collections.deque[bytes] = collections.deque()  # received while sending

    @classmethod
    async def connect(cls, address: Address, timeout_s: float | None) -> Stream:
        """Connects within `timeout_s` seconds (None: no limit).

        Raises:
            ConnectError: the server cannot be reached.
        """
        try:
            with deadline(timeout_s):
                if address.path is not None:
                    raw = await trio.open_unix_socket(address.path)
                    return cls(raw, raw)
                raw = await trio.open_tcp_stream(address.host, address.port)
                if not address.tls:
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return cls(raw, raw)
                context = ssl.create_default_context()
                secure = trio.SSLStream(raw, context, server_hostname=address.host)
                await secure.do_handshake()
                return cls(secure, raw)
        except (OSError, trio.BrokenResourceError) as error:
            raise ConnectError(f"cannot connect to {address}: {error}") from error

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Bounds what is done inside; raises CallTimeoutError when the time is over."""
        with deadline(seconds):
            yield

    async def send(self, data: bytes) -> None:
        """Sends all of `data`. What comes meanwhile is kept for receive(): a server may take no more before its replies
        are taken."""
        if len(data) <= AT_ONCE_BYTES:
            await self._send_all(data)
            return
        failure: ConnectionLostError | None = None
        async with trio.open_nursery() as exchange_nursery:
            exchange_nursery.start_soon(self._receive_early, name="replies that come early")
            try:
                await self._send_all(data)
            except ConnectionLostError as error:
                failure = error
            exchange_nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _receive_early(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # who sends will notice
            while data := await self._stream.receive_some(RECEIVE_BYTES):
                self._early.append(bytes(data))

    async def _send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise ConnectionLostError(f"the connection broke while sending: {error.__cause__ or error}") from error

    async def receive(self) -> bytes:
        """The next bytes.

        Raises:
            ConnectionLostError: the server closed the connection, or it broke.
        """
        if self._early:
            return self._early.popleft()
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except trio.BrokenResourceError as error:
            raise ConnectionLostError(f"the connection broke while receiving: {error.__cause__ or error}") from error
        if not data:
            raise ConnectionLostError("the server closed the connection")
        return bytes(data)

    def quiet(self) -> bool:
        """Whether nothing has come since the last reply: not even the server's closing."""
        return not self._early and not self._raw.socket.is_readable()

    async def close(self) -> None:
        """Closes at once, whatever was under way."""
        with trio.CancelScope(shield=True, deadline=trio.current_time()):
            await self._stream.aclose()


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Bounds what is done inside to `seconds` (None: no limit).

    Raises:
        CallTimeoutError: the time was over.
    """
    try:
        with trio.fail_after(float("inf") if seconds is None else seconds):
            yield
    except trio.TooSlowError:
        raise CallTimeoutError(f"no answer within {seconds} seconds") from None


class Slots:
    """A number of places, waited for in turn."""

    def __init__(self, count: int) -> None:
        self._semaphore = trio.Semaphore(count)

    async def take(self, timeout_s: float | None) -> None:
        """Takes a place.

        Raises:
            CallTimeoutError: none was free within `timeout_s` seconds.
        """
        with deadline(timeout_s):
            await self._semaphore.acquire()

    def give(self) -> None:
        """Gives a place back."""
        self._semaphore.release()
