"""The encoding of commands: see request.pyx."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Argument: TypeAlias = str | bytes | bytearray | memoryview | int | float

def encode_command(args: Sequence[Argument]) -> bytes: ...
def encode_commands(commands: Iterable[Sequence[Argument]]) -> bytes: ...
