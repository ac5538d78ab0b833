"""kvcy's native handlers as a runner of scripts: no server, no session, a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence

from probes import handlers_probe

NOW_MS = 1_700_000_000_000


class Local:
    """Runs commands one by one on a keyspace of its own."""

    def __init__(self, protocol: int = 2) -> None:
        self.handlers = handlers_probe.Handlers(NOW_MS)
        self.handlers.protocol = protocol

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]:
        """The raw replies to the commands."""
        return [self.command(*command) for command in commands]

    def command(self, *words: bytes | str) -> bytes:
        """The raw reply to one command."""
        return self.handlers.command([word.encode() if isinstance(word, str) else word for word in words])
