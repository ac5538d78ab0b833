"""The server: listeners, reactors, trio-path clients, signals and upkeep as tasks in named nurseries.

    server_nursery
      signals                      SIGTERM, SIGINT: shut down; once more: at once
      upkeep                       a thread: frees memory, finishes growth, off the hot path; when the data are loaded
      balance of the reactors      when there are several: moves connections from the busiest
      reactor N                    a thread: native epoll loop over TCP clients
      commands of reactor N        wakes when a reactor's client needs Python
        request_nursery            one task a command; of a long one it waits for a helper thread
      clients                      client_nursery: one task a client of the Unix socket
      listeners                    listener_nursery: one task a listening socket

Shutdown: listeners end; reactors and clients answer what they have received and end; after `shutdown-timeout` seconds
they are ended; then everything else is cancelled. Until load_done() the store belongs to who loads it: commands that
need it are refused. Handlers catch their own exceptions, so no client can end the server.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from kvcy._core import Store
from kvcy.commands.service import ServiceHandle
from kvcy.server import listeners
from kvcy.server.balancing import balance
from kvcy.server.limits import OUTPUT_PAUSE_BYTES, OUTPUT_STALL_S, ClientLimits
from kvcy.server.logs import Log
from kvcy.server.options import Config, Options
from kvcy.server.reactor import Reactor
from kvcy.server.requests import Request
from kvcy.server.threads import run_thread
from kvcy.server.trio_clients import Dispatch, TrioClient
from kvcy.server.trio_session import TrioExecutor, TrioSession
from kvcy.server.upkeep import Upkeep

UNNOTICED_LOADING_S = 0.2  # clients that come while so little is loaded wait for it, rather than being refused
HELPERS_MAX = 1  # threads for long commands: those want the same locks
MAXCLIENTS_REACHED = b"-ERR max number of clients reached\r\n"
PROTECTED = (
    b"-DENIED kvcy is running in protected mode because protected mode is enabled and no password is set for the"
    b" default user. In this mode only clients on the same machine are served. To let others connect, do one of these:"
    b" 1) set a password with the option requirepass, in the configuration file or with CONFIG SET from this machine;"
    b" 2) turn protected mode off with CONFIG SET protected-mode no from this machine, or protected-mode no in the"
    b" configuration file, after making sure that nobody on the internet can reach the server;"
    b" 3) start the server with --protected-mode no.\r\n"
)
FAILED = b"-ERR internal error while the command was running; the server's log says more\r\n"


@dataclass(frozen=True)
class Signals:
    """What is called for a signal; returns at once."""

    snapshot: Callable[[], None]  # SIGUSR1: begins a snapshot
    end: Callable[[], None]  # SIGTERM, SIGINT: is to call shut_down, the second time with `now`


class Server:
    """A server over a store. Made, then run() once.

    Args:
        config: the options; those that may change are followed.
        store: the data.
        service: what all that serve clients share.
        log: where it says what happens.
        dispatch: answers the commands that Python answers: an encoded reply, or None to close the connection.
        on_signal: what signals make happen.

    Raises:
        OSError, MemoryError: no room for the reactors.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        service: ServiceHandle,
        log: Log,
        dispatch: Dispatch,
        on_signal: Signals,
    ) -> None:
        self.options = config.options
        self.store = store
        self.service = service
        self.log = log
        self.limits = ClientLimits()
        self.service.loading = True
        self.reactors = [Reactor(store, service, self.limits) for _ in range(self.options.io_threads)]
        self.trio_executor = TrioExecutor(store, service, self.limits)
        self._dispatch = dispatch
        self._on_signal = on_signal
        self._upkeep = Upkeep(store)
        self._helpers = trio.CapacityLimiter(HELPERS_MAX)
        self._clients: set[TrioClient] = set()
        self._loaded = trio.Event()
        self._stopping = trio.Event()
        self._stop_now = trio.Event()
        self._listeners_done = trio.Event()
        self._reactors_done = trio.Event()
        self._clients_done = trio.Event()
        config.on_change(("timeout", "client-query-buffer-limit", "client-output-buffer-limit"), self._set_limits)
        self._set_limits(self.options)

    # --- life

    async def run(
        self, sockets: Sequence[socket.socket], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serves who connects to these listening sockets, until shut down; then they are closed."""
        async with trio.open_nursery() as server_nursery:
            await server_nursery.start(self._watch_signals, name="signals")
            server_nursery.start_soon(self._run_upkeep, name="upkeep")
            server_nursery.start_soon(self._run_reactors, name="reactors")
            if len(self.reactors) > 1:
                server_nursery.start_soon(balance, self.reactors, name="balance of the reactors")
            for number, reactor in enumerate(self.reactors):
                server_nursery.start_soon(self._answer_requests, reactor, name=f"commands of reactor {number}")
            listening = trio.CancelScope()
            client_nursery = await server_nursery.start(self._hold_clients, name="clients")
            server_nursery.start_soon(self._listen, sockets, client_nursery, listening, name="listeners")
            task_status.started()
            await self._stopping.wait()
            listening.cancel()
            await self._listeners_done.wait()  # one that was awake already accepts once more
            for one in sockets:
                one.close()
            await self._drain()
            server_nursery.cancel_scope.cancel()

    def load_done(self) -> None:
        """The data are loaded, and their log, if they have one, is open: from now on all commands are served."""
        self.service.loading = False
        self.trio_executor.load_done()
        self._loaded.set()

    def shut_down(self, *, now: bool = False) -> None:
        """Lets run() return when what has been received is answered, or at once."""
        self._stopping.set()
        if now:
            self._stop_now.set()

    async def _drain(self) -> None:
        with trio.move_on_after(self.options.shutdown_timeout):
            async with trio.open_nursery() as drain_nursery:
                drain_nursery.start_soon(self._stop_waiting, drain_nursery.cancel_scope, name="a second signal")
                for reactor in self.reactors:
                    reactor.stop()
                for client in list(self._clients):
                    client.drain()
                await self._reactors_done.wait()
                while self._clients:
                    self._clients_done = trio.Event()
                    await self._clients_done.wait()
                drain_nursery.cancel_scope.cancel()
                return
        self.log.warning("Not all clients could be answered before the end")

    async def _stop_waiting(self, waiting: trio.CancelScope) -> None:
        await self._stop_now.wait()
        waiting.cancel()

    async def _watch_signals(self, task_status: trio.TaskStatus[None]) -> None:
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
        with trio.open_signal_receiver(*watched) as received:
            task_status.started()
            async for number in received:
                name = signal.Signals(number).name
                if number in (signal.SIGTERM, signal.SIGINT):
                    self.log.warning(f"Received {name}, shutting down" + self._stopping.is_set() * " at once")
                    self._on_signal.end()
                elif number == signal.SIGUSR1:
                    self._on_signal.snapshot()

    def _set_limits(self, options: Options) -> None:
        normal = options.client_output_buffer_limit.normal
        self.limits.set_timeout(options.timeout)
        self.limits.set_wake_coalescing(options.wake_coalescing_us)
        self.limits.set_query(options.client_query_buffer_limit)
        self.limits.set_output(normal.hard_bytes, normal.soft_bytes, normal.soft_seconds)

    async def _run_upkeep(self) -> None:
        await self._loaded.wait()
        await run_thread(self._upkeep.run, self._upkeep.stop)

    # --- reactors, and commands that Python answers

    async def _run_reactors(self) -> None:
        async with trio.open_nursery() as reactor_nursery:
            for number, reactor in enumerate(self.reactors):
                reactor_nursery.start_soon(
                    run_thread, reactor.run, lambda reactor=reactor: reactor.stop(now=True), name=f"reactor {number}"
                )
        self._reactors_done.set()

    async def _answer_requests(self, reactor: Reactor) -> None:
        async with trio.open_nursery() as request_nursery:
            while True:
                await trio.lowlevel.wait_readable(reactor.request_fd)
                for request in reactor.requests():
                    request_nursery.start_soon(self._answer, request, name=f"command {request.name}")

    async def _answer(self, request: Request) -> None:
        if request.is_long:
            await trio.to_thread.run_sync(request.run, limiter=self._helpers)
            request.done()
            return
        try:
            reply = await self._dispatch(request)
        except Exception as error:
            self.log.warning(f"The command {request.name} failed: {error!r}")
            reply = FAILED
        if reply is None:
            request.close()
        else:
            request.reply(reply)

    # --- listeners and accepted connections

    async def _listen(
        self, sockets: Sequence[socket.socket], client_nursery: trio.Nursery, listening: trio.CancelScope
    ) -> None:
        def accepted(connection: socket.socket) -> None:
            self._accepted(connection, client_nursery)

        with listening:
            with trio.move_on_after(UNNOTICED_LOADING_S):
                await self._loaded.wait()
            async with trio.open_nursery() as listener_nursery:
                for one in sockets:
                    where = one.getsockname()
                    name = where if isinstance(where, str) else listeners.show(where[0], where[1])
                    listener_nursery.start_soon(
                        listeners.accept_forever, one, accepted, self.log, name=f"listen {name}"
                    )
        self._listeners_done.set()

    async def _hold_clients(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        async with trio.open_nursery() as client_nursery:
            task_status.started(client_nursery)
            await trio.sleep_forever()

    def connection_count(self) -> int:
        return sum(reactor.connection_count for reactor in self.reactors) + len(self._clients)

    def _accepted(self, connection: socket.socket, client_nursery: trio.Nursery) -> None:
        try:
            if self.connection_count() >= self.options.maxclients:
                self._refuse(connection, MAXCLIENTS_REACHED)
            elif self.options.protected_mode and not self.options.requirepass and not listeners.is_loopback(connection):
                self._refuse(connection, PROTECTED)
            elif connection.family == socket.AF_UNIX:
                client_nursery.start_soon(self._serve_client, connection, name="client of the Unix socket")
            else:
                self._adopt(connection)
        except Exception as error:  # the peer may be gone already; whatever it is, the listener goes on
            self.log.verbose(f"A connection was lost before it was served: {error!r}")
            connection.close()

    def _refuse(self, connection: socket.socket, text: bytes) -> None:
        self.service.count_rejected_connection()
        with contextlib.suppress(OSError):
            connection.send(text, socket.MSG_DONTWAIT)
        connection.close()

    def _adopt(self, connection: socket.socket) -> None:
        listeners.configure(connection, self.options.tcp_keepalive)
        peer, own = listeners.addresses(connection)
        reactor = min(self.reactors, key=_connection_count)
        reactor.adopt(connection.fileno(), peer, own, int(time.time() * 1000))
        connection.detach()

    async def _serve_client(self, connection: socket.socket) -> None:
        client = None
        try:
            connection.setblocking(False)
            client = self._trio_client(connection)
            self._clients.add(client)
            if self._stopping.is_set():
                client.drain()
            await client.run()
        except Exception as error:
            self.log.warning(f"A client of the Unix socket was lost: {error!r}")
        finally:
            connection.close()
            if client is not None:
                self._clients.discard(client)
            if not self._clients:
                self._clients_done.set()

    def _trio_client(self, connection: socket.socket) -> TrioClient:
        peer, own = listeners.addresses(connection)
        is_unix = connection.family == socket.AF_UNIX
        session = TrioSession(self.trio_executor, connection.fileno(), peer, own, int(time.time() * 1000), is_unix)
        return TrioClient(
            connection,
            session,
            self._answer,
            timeout_s=self._timeout_s,
            pause_bytes=OUTPUT_PAUSE_BYTES,
            stall_s=OUTPUT_STALL_S,
        )

    def _timeout_s(self) -> float:
        return self.options.timeout or float("inf")


def _connection_count(reactor: Reactor) -> int:
    return reactor.connection_count
