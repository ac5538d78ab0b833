"""Random commands against kvcy-server and redis-server side by side, reply by reply.

Both are real processes on real sockets. The commands are seeded: strings, expiries, keys, databases, connections and
transactions, mixed, with what may lawfully differ (the clock, the order of a walk, memory) allowed for by
generators.same_reply. A larger run by hand:

    python tests/differential.py --commands 1000000 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from random import Random

import generators
import kvcy_server
import redis_server
import resp

BATCH = 40
Command = list[bytes]


class Comparison:
    """Replies of two servers to the same commands on one connection each; knows what MULTI has queued."""

    def __init__(self) -> None:
        self.queued: list[Command] = []

    def same(self, command: Command, ours: bytes, theirs: bytes) -> bool:
        """Whether the replies may stand side by side."""
        name = command[0].upper()
        if ours == theirs == b"+QUEUED\r\n":
            self.queued.append(command)
            return True
        if name not in (b"EXEC", b"DISCARD", b"RESET"):
            return generators.same_reply(command, ours, theirs)
        queued, self.queued = self.queued, []
        if ours == theirs:
            return True
        if name != b"EXEC" or ours[:1] != b"*" or theirs[:1] != b"*":
            return False
        mine = resp.elements(ours.split(b"\r\n", 1)[1])
        other = resp.elements(theirs.split(b"\r\n", 1)[1])
        if not len(mine) == len(other) == len(queued):
            return False
        return all(generators.same_reply(*parts) for parts in zip(queued, mine, other, strict=True))


@contextlib.contextmanager
def both() -> Iterator[tuple[kvcy_server.Client, redis_server.Connection]]:
    """A fresh kvcy-server and a fresh redis-server, a connection to each."""
    with kvcy_server.running() as kvcy, kvcy.connect() as ours, redis_server.running() as theirs:
        yield ours, theirs


def differences(
    ours: kvcy_server.Client, theirs: redis_server.Connection, commands: Sequence[Command]
) -> Iterator[tuple[int, Command, bytes, bytes]]:
    """Runs the commands on both; yields (index, command, kvcy's reply, Redis's reply) where they differ."""
    comparison = Comparison()
    for start in range(0, len(commands), BATCH):
        batch = commands[start : start + BATCH]
        ours.send(*batch)
        replies = theirs.run(batch)
        for index, (command, other) in enumerate(zip(batch, replies, strict=True), start):
            mine = ours.read()
            if not comparison.same(command, mine, other):
                yield index, command, mine, other


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compares kvcy-server with redis-server on random commands.")
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--protocol", choices=["2", "3"], default="2")
    args = parser.parse_args()
    commands = list(generators.mixed(Random(args.seed), args.commands, generators.EVERYTHING))
    count = 0
    with both() as (ours, theirs):
        hello = [b"HELLO", args.protocol.encode()]
        ours.run(*hello)
        theirs.run([hello])
        for index, command, mine, other in differences(ours, theirs, commands):
            count += 1
            print(f"{index}: {b' '.join(command)!r}\n  kvcy  {mine[:300]!r}\n  redis {other[:300]!r}")
    print(f"{args.commands} commands, seed {args.seed}: {count} differences")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
