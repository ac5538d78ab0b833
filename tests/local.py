"""kvcy in this process as a runner of scripts: no server, a clock that stands still.

Local calls the native handlers one by one. Piped goes through a session: parser, executor and writer, in pipelines that
are cut into pieces at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import resp

from probes import handlers_probe, sessions

NOW_MS = 1_700_000_000_000


class Local:
    """Runs commands one by one on a keyspace of its own."""

    def __init__(self, protocol: int = 2) -> None:
        self.handlers = handlers_probe.Handlers(NOW_MS)
        self.handlers.protocol = protocol

    def set_clock(self, now_ms: int) -> None:
        """The Unix time from now on."""
        self.handlers.now_ms = now_ms

    def hits_and_misses(self) -> tuple[int, int]:
        """What INFO would call keyspace_hits and keyspace_misses."""
        return self.handlers.hits, self.handlers.misses

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]:
        """The raw replies to the commands."""
        return [self.command(*command) for command in commands]

    def command(self, *words: bytes | str) -> bytes:
        """The raw reply to one command."""
        return self.handlers.command([word.encode() if isinstance(word, str) else word for word in words])


class Piped:
    """Runs pipelines in a session on a server of its own."""

    def __init__(self, protocol: int = 2, seed: int = 0) -> None:
        self.probe = sessions.Probe()
        self.random = Random(seed)
        self.run([["HELLO", str(protocol)]])

    def set_clock(self, now_ms: int) -> None:
        """The Unix time from now on."""
        self.probe.server.now_ms = now_ms

    def hits_and_misses(self) -> tuple[int, int]:
        """What INFO would call keyspace_hits and keyspace_misses."""
        hits, misses = self.probe.server.hits_and_misses
        return hits, misses

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]:
        """The raw replies to the commands."""
        data = b"".join(map(resp.encode, commands))
        cuts = sorted(self.random.randrange(len(data)) for _ in range(self.random.randrange(4)))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        replies, rest = resp.split(b"".join(map(self.probe.feed, pieces)))
        if rest or len(replies) != len(commands):
            raise AssertionError(f"{len(commands)} commands got {len(replies)} replies and {rest!r}")
        return replies
