"""What a command takes for its arguments, and how the typed methods make arguments of their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Data = bytes | bytearray | memoryview | str
Value = Data | int | float
Argument = Value


def command_name(arguments: Sequence[Argument]) -> str:
    """The command's name in capitals; empty without one."""
    name = arguments[0] if arguments else ""
    if isinstance(name, (bytes, bytearray, memoryview)):
        name = bytes(name).decode("latin-1")
    return str(name).upper()


def flatten(pairs: Mapping[Any, Argument]) -> list[Argument]:
    """k1, v1, k2, v2, ..."""
    return [each for pair in pairs.items() for each in pair]


def timing(**options: Argument | None) -> list[Argument]:
    """The options that have a value, by name and value."""
    return [each for name, value in options.items() if value is not None for each in (name.upper(), value)]


def words(**options: bool) -> list[Argument]:
    """The options that are on, by name."""
    return [name.upper() for name, on in options.items() if on]
