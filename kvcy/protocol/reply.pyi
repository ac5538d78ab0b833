"""The client's side of the protocol: see reply.pyx."""

from typing import Any, Final

from kvcy.protocol.request import encode_command, encode_commands

__all__ = ["NOT_READY", "NotReady", "Push", "ReplyReader", "encode_command", "encode_commands"]

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
