# Made from _async/client.py by tools/generate_sync_client.py: change it there.
"""The client: commands over a pool of connections, pipelines, and connections of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from kvcy.client._address import parse_url
from kvcy.client._arguments import Argument, Data, command_name
from kvcy.client._pipeline import PipelineCommands
from kvcy.client._sync.commands import Commands
from kvcy.client._sync.connection import Connection
from kvcy.client._sync.pool import Pool
from kvcy.client.errors import TransactionAbortedError
from kvcy.errors import ReplyError

Runner = TypeVar("Runner", bound="Client | Session")
DEFAULT_URL = "kvcy://127.0.0.1:6379"
# What they change would meet whoever is given the connection next.
OF_A_CONNECTION = frozenset(("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT", "AUTH", "HELLO", "RESET"))


class Client(Commands):
    """A client of one server, safe to share between threads: each call takes a connection from the pool.

    Args:
        url: where the server is (see kvcy.client._address for the forms).
        timeout_s: for each call, from sending to the whole reply; None: no limit.
        connect_timeout_s: for connecting, and for waiting until a connection is free.
        connections_max: how many connections the pool may have open.
        name: what CLIENT LIST shows for them.

    Raises:
        ValueError: the URL is not one.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float | None = 10.0,
        connect_timeout_s: float | None = 5.0,
        connections_max: int = 16,
        name: str | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._pool = Pool(parse_url(url), size=connections_max, name=name, connect_timeout_s=connect_timeout_s)

    def execute(self, *arguments: Argument) -> Any:
        """Runs any command but those that belong to a connection (WATCH, SELECT, ...: see `session`); its reply.

        Raises:
            ValueError: the command belongs to a connection.
            ReplyError: the server answered with an error.
            ConnectError: the server cannot be reached, or refused the handshake.
            CallTimeoutError, ConnectionLostError: whether the server carried the command out is not known.
        """
        if (name := command_name(arguments)) in OF_A_CONNECTION:
            raise ValueError(f"{name} belongs to a connection: use it in a session()")
        with self._pool.connection() as connection:
            reply = connection.request(arguments, self._timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, *, atomic: bool = False) -> Pipeline[Client]:
        """Commands to be sent in one go; `atomic`: between MULTI and EXEC, as one step for every observer."""
        return Pipeline(self, atomic=atomic)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A connection of one's own, for what belongs to a connection: WATCH, SELECT, MULTI. Closed afterwards."""
        with self._pool.connection() as connection:
            try:
                yield Session(connection, self._timeout_s)
            finally:
                connection.ready = False

    def scan_iter(
        self, *, match: Data | None = None, count: int | None = None, type: str | None = None
    ) -> Iterator[bytes]:
        """Iterates over the keys. One that is there all the time comes at least once."""
        cursor = 0
        while True:
            position, keys = self.scan(cursor, match=match, count=count, type=type)
            yield from keys
            cursor = int(position)
            if cursor == 0:
                return

    def run_many(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        """Sends commands in one go; their replies, each ReplyError in its place."""
        with self._pool.connection() as connection:
            return connection.request_many(commands, self._timeout_s)

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Session(Commands):
    """One connection of one's own."""

    def __init__(self, connection: Connection, timeout_s: float | None) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    def execute(self, *arguments: Argument) -> Any:
        """Runs any command; its reply. Raises as Client.execute does."""
        reply = self._connection.request(arguments, self._timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, *, atomic: bool = False) -> Pipeline[Session]:
        """Commands to be sent in one go; `atomic`: as one step, which fails if a watched key has changed."""
        return Pipeline(self, atomic=atomic)

    def run_many(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        """Sends commands in one go; their replies, each ReplyError in its place."""
        return self._connection.request_many(commands, self._timeout_s)


class Pipeline(PipelineCommands, Generic[Runner]):
    """Commands collected to be sent in one go: `replies = client.pipeline().set("a", 1).get("a").run()`."""

    def __init__(self, runner: Runner, *, atomic: bool) -> None:
        super().__init__()
        self._runner = runner
        self._atomic = atomic

    def run(self, *, raise_errors: bool = True) -> list[Any]:
        """Sends what was collected; the replies in order. The pipeline is empty again.

        Args:
            raise_errors: raise the first error reply after all replies have come; else each stands in its place.

        Raises:
            TransactionAbortedError: `atomic`, and a watched key had changed.
            ReplyError: a command failed, or the transaction was refused.
        """
        commands, self.commands = self.commands, []
        if not commands:
            return []
        replies = self._run_atomic(commands) if self._atomic else self._runner.run_many(commands)
        if raise_errors:
            for reply in replies:
                if isinstance(reply, ReplyError):
                    raise reply
        return replies

    def _run_atomic(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        replies = self._runner.run_many([("MULTI",), *commands, ("EXEC",)])
        result = replies[-1]
        if result is None:
            raise TransactionAbortedError("a watched key changed before EXEC")
        if isinstance(result, ReplyError):
            for queued in replies[:-1]:  # the reason comes before EXECABORT
                if isinstance(queued, ReplyError):
                    raise queued
            raise result
        return list(result)
