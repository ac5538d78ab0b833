from collections.abc import Callable, Sequence
from typing import Any

from kvcy._core import Store
from kvcy.engine.directory import Directory, Manifest

def in_threads(calls: Sequence[Callable[[], Any]]) -> list[Any]: ...

class LoadStopped(Exception): ...

class LoadReport:
    snapshot: str
    snapshot_position: int
    snapshot_bytes: int
    snapshot_flags: int
    keys: int
    records: int
    position: int
    durable: int
    torn: str
    before: str

class Loader:
    def __init__(
        self, store: Store, directory: Directory, manifest: Manifest, threads: int | None = None
    ) -> None: ...
    def load(self, base: int | None = None, until: int | None = None) -> LoadReport: ...
    def load_shards(self) -> bool: ...
    def replay_shards(self, part: int) -> None: ...
    def read_stream(self, reader: int) -> None: ...
    def stop(self) -> None: ...
    def progress(self) -> tuple[int, int]: ...
