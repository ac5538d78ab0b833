"""The client's side of the protocol: see reply.pyx."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

Argument: TypeAlias = str | bytes | bytearray | memoryview | int | float

class NotReady: ...

NOT_READY: Final[NotReady]

class Push(list[Any]): ...

class ReplyReader:
    attributes: dict[Any, Any] | list[tuple[Any, Any]] | None
    def __init__(
        self,
        *,
        encoding: str | None = None,
        errors: str = "strict",
        bulk_bytes_max: int = ...,
        depth_max: int = ...,
    ) -> None: ...
    @property
    def pending(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...
    def feed(self, data: bytes | bytearray | memoryview) -> None: ...
    def gets(self) -> Any: ...

def encode_command(args: Sequence[Argument]) -> bytes: ...
def encode_commands(commands: Iterable[Sequence[Argument]]) -> bytes: ...
