"""Makes a data directory with everything the format has, and beside it what it holds: the golden files.

    PYTHONPATH=. python tests/make_golden.py tests/golden/v1

Golden files are made once for each version of the format, and then only read. There is a snapshot, a log that continues
it with a record of every kind of operation, one over several segments, and a segment that was made ahead.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from crash_calls import Calls, at_seam
from crash_script import SHARDS, State, contents, shadow_of

from kvcy import Store
from kvcy._opening import open_data

LATER_MS = "9007199254740991"
BEFORE_THE_SNAPSHOT: list[list[str | bytes]] = [
    ["SET", "gone", "1"],
    ["FLUSHALL"],
    ["SET", "", "a value under an empty key"],
    ["SET", "old", "kept by the snapshot alone"],
    ["SET", "old and later", b"x" * 300, "PXAT", LATER_MS],
    ["APPEND", "edited", "in place"],
    ["SET", bytes(range(256)), bytes(range(255, -1, -1))],
    ["COPY", "old", "flushed by the log", "DB", "1"],
]
BEHIND_THE_SNAPSHOT: list[list[str | bytes]] = [
    ["SWAPDB", "0", "1"],
    ["FLUSHDB"],
    ["SWAPDB", "0", "1"],
    ["SET", "number", "41"],
    ["INCR", "number"],
    ["SET", "fleeting", "x", "PXAT", LATER_MS],
    ["PERSIST", "fleeting"],
    ["PEXPIREAT", "old", LATER_MS],
    ["APPEND", "edited", ", and more"],
    ["SETRANGE", "edited", "20", "behind a gap"],
    ["DEL", "absent", "old and later"],
    ["MSET", "one", "1", "two", "2", "three", "3"],
    ["RENAME", "two", "renamed"],
    ["SET", "large", b"0123456789abcdef" * 600],
    ["MOVE", "three", "1"],
    ["SWAPDB", "0", "1"],
    ["SET", "last", "", "PXAT", LATER_MS],
    ["SET", "erased", "x"],
    ["DEL", "erased"],
]


def make(path: Path) -> State:
    """Writes the data directory; what it holds, by a store in memory to which the same was done."""
    shadow = Store(shards=SHARDS)
    with at_seam(Calls()):
        store, persistence, _ = open_data(path, shards=SHARDS, policy="no")
        flusher = threading.Thread(target=persistence.flush)
        flusher.start()
        for words in (*BEFORE_THE_SNAPSHOT, ["SAVE"], *BEHIND_THE_SNAPSHOT):
            if words == ["SAVE"]:
                persistence.save()
                continue
            shadow.execute(*words)
            store.execute(*words)
        persistence.stop()
        flusher.join()
        persistence.close()
    (path / "kvcy.lock").unlink()
    return contents(shadow)


def encoded(state: State) -> str:
    rows = [[database, key.hex(), value.hex(), time] for (database, key), (value, time) in sorted(state.items())]
    return json.dumps(rows, indent=0) + "\n"


def decoded(text: str) -> State:
    return {
        (database, bytes.fromhex(key)): (bytes.fromhex(value), time)
        for database, key, value, time in json.loads(text)
    }


def main() -> None:
    path = Path(sys.argv[1])
    path.mkdir(parents=True)
    state = make(path / "data")
    assert contents(shadow_of(state)) == state
    (path / "contents.json").write_text(encoded(state))


if __name__ == "__main__":
    main()
