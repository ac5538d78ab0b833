"""Clients that trio tasks carry: one task receives and executes, a second sends.

The second exists because a client may send a deep pipeline before it reads the first reply: execution goes on while the
replies wait, up to `pause_bytes` of them; then the client is not read until half of them have gone.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from kvcy.server.requests import Request
from kvcy.server.trio_session import AGAIN, CLOSING, MORE, PARKED, TrioSession

RECEIVE_BYTES = 65536
SEND_BYTES = 65536
POSTPONED_S = 0.001  # before what a long command was in the way of is tried again

Dispatch = Callable[[Request], Awaitable["bytes | None"]]
Answer = Callable[[Request], Awaitable[None]]


class TrioClient:
    """One client: its stream, its session and its two tasks."""

    def __init__(
        self,
        connection: socket.socket,
        session: TrioSession,
        answer: Answer,
        *,
        timeout_s: Callable[[], float],
        pause_bytes: int,
        stall_s: float,
    ) -> None:
        self._connection = connection
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        self._session = session
        self._answer = answer
        self._timeout_s = timeout_s
        self._pause_bytes = pause_bytes
        self._stall_s = stall_s
        self._more_output = trio.Event()
        self._less_output = trio.Event()
        self._receiving: trio.CancelScope | None = None
        self._draining = False
        self._received_all = False

    async def run(self) -> None:
        """Serves until the client leaves or is to be closed."""
        try:
            async with trio.open_nursery() as client_nursery:
                client_nursery.start_soon(self._send_replies, client_nursery.cancel_scope, name="send replies")
                await self._receive_commands(client_nursery.cancel_scope)
                self._received_all = True
                self._more_output.set()
        finally:
            self._session.close()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    def drain(self) -> None:
        """Shutdown: what has been received is executed and answered, then run() returns."""
        self._draining = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def _receive_commands(self, everything: trio.CancelScope) -> None:
        session = self._session
        while True:
            if session.pending_bytes:
                self._more_output.set()
            state = session.state
            if state == CLOSING:
                if session.failed:
                    everything.cancel()
                return
            if state == PARKED:
                await self._answer(session.request())
            elif session.pending_bytes > self._pause_bytes:
                with trio.move_on_after(self._stall_s):
                    await self._room_for_output()
                    continue
                everything.cancel()
                return
            elif state == AGAIN:
                await trio.sleep(POSTPONED_S * session.postponed)
                session.go_on()
            else:
                assert state == MORE
                data = await self._receive()
                if not data:
                    return
                session.feed(data)

    async def _receive(self) -> bytes:
        """Received bytes; none when there will be no more."""
        if not self._draining:
            timeout_s = self._timeout_s()
            with trio.move_on_after(timeout_s) as self._receiving:
                try:
                    return bytes(await self._stream.receive_some(RECEIVE_BYTES))
                except trio.BrokenResourceError:
                    return b""
            self._receiving = None
            if not self._draining:
                return b""
        try:
            return self._connection.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except OSError:
            return b""

    async def _room_for_output(self) -> None:
        while self._session.pending_bytes > self._pause_bytes // 2:
            self._less_output = trio.Event()
            await self._less_output.wait()

    async def _send_replies(self, everything: trio.CancelScope) -> None:
        session = self._session
        while True:
            chunk = session.chunk(SEND_BYTES)
            if chunk:
                if (position := session.held_until) and not await trio.to_thread.run_sync(session.wait_log, position):
                    everything.cancel()
                    return
                try:
                    await self._stream.send_all(chunk)
                except trio.BrokenResourceError:
                    everything.cancel()
                    return
                session.sent(len(chunk))
                self._less_output.set()
            elif self._received_all:
                return
            else:
                self._more_output = trio.Event()
                await self._more_output.wait()
