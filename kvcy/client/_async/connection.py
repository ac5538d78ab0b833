"""One connection: the handshake, and requests whose replies come back in order.

A connection is `ready` between calls and not while one is under way, so one that was cancelled, timed out or failed
stays unready for good: its owner closes it, and no later caller can be handed a reply that was not for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvcy.client._address import Address
from kvcy.client._arguments import Argument
from kvcy.client._async.stream import Stream
from kvcy.client.errors import ConnectError
from kvcy.errors import ReplyError
from kvcy.protocol.reply import NOT_READY, Push, ReplyReader, encode_command, encode_commands


class Connection:
    """A connected, authenticated stream of requests and replies."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = ReplyReader()
        self.ready = True

    @classmethod
    async def open(cls, address: Address, *, name: str | None, timeout_s: float | None) -> Connection:
        """Connects and shakes hands: RESP3 where the server has it, authentication, client name, database.

        Raises:
            ConnectError: the server cannot be reached or refuses.
            CallTimeoutError: it took longer than `timeout_s` seconds.
        """
        connection = cls(await Stream.connect(address, timeout_s))
        try:
            await connection._shake_hands(address, name, timeout_s)
        except ReplyError as error:
            await connection.close()
            raise ConnectError(f"{address} refused the handshake: {error}") from error
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _shake_hands(self, address: Address, name: str | None, timeout_s: float | None) -> None:
        login: list[Argument] = []
        if address.password is not None:
            login = ["AUTH", address.user or "default", address.password]
        greeting = await self.request(["HELLO", 3, *login], timeout_s)
        if isinstance(greeting, ReplyError):
            if not str(greeting).startswith(("ERR unknown command", "NOPROTO")):
                raise greeting
            if address.password is not None:
                user = [address.user] if address.user else []
                await self._must(["AUTH", *user, address.password], timeout_s)
        if name is not None:
            await self._must(["CLIENT", "SETNAME", name], timeout_s)
        if address.database:
            await self._must(["SELECT", address.database], timeout_s)

    async def _must(self, arguments: Sequence[Argument], timeout_s: float | None) -> None:
        reply = await self.request(arguments, timeout_s)
        if isinstance(reply, ReplyError):
            raise reply

    async def request(self, arguments: Sequence[Argument], timeout_s: float | None) -> Any:
        """Sends one command; its reply, a ReplyError being returned, not raised."""
        data = encode_command(arguments)
        self.ready = False
        with self._stream.within(timeout_s):
            await self._stream.send(data)
            reply = await self._receive()
        self.ready = True
        return reply

    async def request_many(self, commands: Sequence[Sequence[Argument]], timeout_s: float | None) -> list[Any]:
        """Sends commands in one go; their replies, each ReplyError in its place."""
        data = encode_commands(commands)
        self.ready = False
        with self._stream.within(timeout_s):
            await self._stream.send(data)
            replies = [await self._receive() for _ in commands]
        self.ready = True
        return replies

    async def _receive(self) -> Any:
        """The next reply; out-of-band messages, which nobody here has asked for, are passed over."""
        while True:
            reply = self._reader.gets()
            if reply is NOT_READY:
                self._reader.feed(await self._stream.receive())
            elif not isinstance(reply, Push):
                return reply

    def usable(self) -> bool:
        """Whether the next call may have it: no call under way, nothing unasked for, not closed by the server."""
        return self.ready and self._stream.quiet()

    async def close(self) -> None:
        """Closes the connection at once."""
        self.ready = False
        await self._stream.close()
