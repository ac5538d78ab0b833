"""Scripts of commands and their expected replies, one a line:

    set k v EX 10 => +OK
    getrange k 0 -1 => "v"

Words are separated as in a shell; `# ` starts a comment. The reply is written as resp.show does. The same script runs
on kvcy and on a redis-server, so that the expectations are known to be true.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Protocol

import resp


class Runner(Protocol):
    """What runs commands and returns their raw replies."""

    def run(self, commands: Sequence[Sequence[bytes | str]]) -> list[bytes]: ...


def parse(script: str) -> list[tuple[list[str], str]]:
    """The script's commands, each with the reply expected."""
    steps = []
    for line in script.splitlines():
        if line.strip() and not line.lstrip().startswith("# "):
            command, _, expected = line.partition(" => ")
            steps.append((shlex.split(command), expected.strip()))
    return steps


def check(runner: Runner, script: str) -> None:
    """Run the script from an empty keyspace; compare every reply."""
    wrong = []
    for command, expected in parse(script):
        (reply,) = runner.run([command])
        if resp.show(reply) != expected:
            wrong.append(f"{shlex.join(command)}: {resp.show(reply)} instead of {expected}")
    assert not wrong, "\n".join(wrong)
