from kvcy._core import Store
from kvcy.engine.directory import Directory, Manifest

class LoadReport:
    snapshot: str
    snapshot_position: int
    snapshot_bytes: int
    keys: int
    records: int
    position: int
    durable: int
    torn: str

class Loader:
    def __init__(self, store: Store, directory: Directory, manifest: Manifest) -> None: ...
    def load(self) -> LoadReport: ...
    def load_shards(self) -> bool: ...
