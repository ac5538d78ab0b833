from collections.abc import Callable

from kvcy.tools.filling import Filler
from kvcy.tools.source import Source

def read_rdb(
    source: Source, filler: Filler, reach: Callable[[int], None], others: Callable[[str, bytes, int], None]
) -> None: ...
