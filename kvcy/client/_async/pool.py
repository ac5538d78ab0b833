"""A pool of connections to one server: at most so many at a time, the one used last handed out first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from kvcy.client._address import Address
from kvcy.client._async.connection import Connection
from kvcy.client._async.stream import Slots
from kvcy.errors import KvcyError


class Pool:
    """Connections to `address`, opened when needed and kept for the next caller.

    Args:
        size: how many may be open at a time.
        connect_timeout_s: for opening one, and for waiting until one is free.
    """

    def __init__(self, address: Address, *, size: int, name: str | None, connect_timeout_s: float | None) -> None:
        if size < 1:
            raise ValueError(f"a pool needs room for at least one connection, not {size}")
        self._address = address
        self._name = name
        self._connect_timeout_s = connect_timeout_s
        self._slots = Slots(size)
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._closed = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one caller's use; closed afterwards unless it is ready for the next."""
        if self._closed:
            raise KvcyError("the client is closed")
        await self._slots.take(self._connect_timeout_s)
        try:
            connection = await self._checkout()
            try:
                yield connection
            finally:
                if connection.ready and not self._closed:
                    self._idle.append(connection)
                else:
                    await connection.close()
        finally:
            self._slots.give()

    async def _checkout(self) -> Connection:
        if self._process != os.getpid():  # this is a fork: the connections are its parent's
            self._process = os.getpid()
            while self._idle:
                await self._idle.pop().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            await connection.close()
        return await Connection.open(self._address, name=self._name, timeout_s=self._connect_timeout_s)

    async def close(self) -> None:
        """Closes what is idle now, and the rest when its callers are done."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
