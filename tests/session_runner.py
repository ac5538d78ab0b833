"""kvcy's sessions as a runner of scripts: everything but the network, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence

import resp

from probes import sessions


class SessionRunner:
    """Runs commands in one session of a server of its own."""

    def __init__(self, protocol: int = 2) -> None:
        self.server = sessions.Server()
        self.probe = sessions.Probe(self.server)
        self.run([["HELLO", str(protocol)]])

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]:
        """The raw replies to the commands, sent as one pipeline."""
        replies, rest = resp.split(self.probe.feed(b"".join(map(resp.encode, commands))))
        assert not rest
        assert len(replies) == len(commands)
        return replies
