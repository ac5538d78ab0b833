from collections.abc import Callable

from kvcy.tools.filling import Filler
from kvcy.tools.source import Source

LINES_BEGIN: bytes
LINES_END: bytes
COMMANDS_END: bytes

def read_lines(source: Source, filler: Filler, reach: Callable[[int], None]) -> None: ...
def read_commands(source: Source, filler: Filler, reach: Callable[[int], None]) -> None: ...
