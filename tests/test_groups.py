"""What belongs together is in the log as a whole or not at all, wherever memory ends and wherever the log does.

Commands on several keys and transactions are run while memory ends sooner or later under them. Then the log is cut at
every record, and within it: each start must find one of the states that were there between two commands.
"""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from data_directories import HEADER, content, opened

from probes.group_probe import Connection

SEGMENT_BYTES = 1 << 20
KEYS = [b"key:%02d:" % number + b"k" * 120 for number in range(40)]
SHORT = [b"short:%02d:" % number + b"k" * 500 for number in range(8)]
LARGE = b"v" * 10_000
FILL = [part for key in KEYS for part in (key, b"old " + key[:6])]
EXEC = [b"EXEC"]
SET_FIRST = [b"SET", b"first", b"1"]
SET_LAST = [b"SET", b"last", b"1"]

CASES: dict[str, list[list[bytes]]] = {
    "DEL": [[b"DEL", *KEYS]],
    "UNLINK": [[b"UNLINK", *KEYS]],
    "MSET": [[b"MSET", *(part for key in KEYS for part in (key, LARGE[:500]))]],
    "RENAME": [[b"RENAME", KEYS[0], b"k" * 20_000]],
    "EXEC with DEL": [[b"MULTI"], SET_FIRST, [b"DEL", *KEYS], SET_LAST, EXEC],
    "EXEC with single deletions": [[b"MULTI"], SET_FIRST, *([b"DEL", key] for key in KEYS), SET_LAST, EXEC],
    "EXEC with expiries": [[b"MULTI"], SET_FIRST, *([b"EXPIRE", key, b"1000"] for key in KEYS), SET_LAST, EXEC],
    "EXEC with FLUSHDB": [[b"MULTI"], [b"SET", b"first", LARGE], [b"FLUSHDB"], SET_LAST, EXEC],
    "EXEC with SWAPDB": [[b"MULTI"], [b"SET", b"first", LARGE[:3970]], [b"SWAPDB", b"0", b"1"], SET_LAST, EXEC],
    "EXEC with KDEL": [[b"MULTI"], SET_FIRST, [b"KDEL", b"[key:", b"[key;"], SET_LAST, EXEC],
    "EXEC that reads expired keys": [[b"MULTI"], SET_FIRST, [b"MGET", *SHORT], SET_LAST, EXEC],
}


def expire_in_passing(connection: Connection) -> None:
    """Leaves keys that have expired and that nobody has looked at since."""
    until_ms = time.time_ns() // 1_000_000 + 2
    for key in SHORT:
        assert connection.run([b"SET", key, b"x", b"PXAT", b"%d" % until_ms])
    while time.time_ns() // 1_000_000 <= until_ms:
        pass


def ends(log: bytes) -> Iterator[int]:
    """Where each record of a log's first segment ends."""
    at = 0
    while size := struct.unpack_from("<I", log, HEADER + at + 4)[0]:
        at += (32 + size + 7) // 8 * 8
        yield at


def state_of(items: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """What is to be found again: all but what expires."""
    return {key: value for key, value in items if not key.startswith(b"short:")}


def run_short_of_memory(path: Path, commands: list[list[bytes]]) -> tuple[list[dict[bytes, bytes]], int]:
    """Runs the commands again and again, the last with memory for one allocation more each time, until nothing in it is
    refused; all states between two commands, and how often something was refused."""
    states: list[dict[bytes, bytes]] = [{}]
    refused = 0
    with opened(path, SEGMENT_BYTES) as (store, _):
        filler = Connection(store)
        while True:
            for command in ([b"FLUSHALL"], [b"MSET", *FILL]):
                filler.run(command)
                states.append(state_of(store.items()))
            if any(SHORT[0] in command for command in commands):
                expire_in_passing(filler)
            connection = Connection(store)
            for command in commands[:-1]:
                connection.run(command)
            reply = connection.run_short(commands[-1], refused)
            states.append(state_of(store.items()))
            if b"-OOM" not in reply:
                return states, refused
            refused += 1


def recovered(source: Path, target: Path, log: bytes, end: int) -> dict[bytes, bytes]:
    """What a start finds where the log ends at `end`, the segment having been made at its full size."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(source / "kvcy.manifest", target)
    (target / "log-0000000000000000").write_bytes(log[: HEADER + end].ljust(len(log), b"\0"))
    return state_of(content(target).items())


@pytest.mark.parametrize("name", CASES)
def test_every_prefix_holds_all_or_nothing(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    states, refused = run_short_of_memory(source, CASES[name])
    assert refused >= 1
    log = (source / "log-0000000000000000").read_bytes()
    at = reached = 0
    for end in [0, *ends(log)]:
        for cut in {at + (end - at) // 2 // 8 * 8, end}:
            found = recovered(source, tmp_path / "target", log, cut)
            assert found in states[reached:], f"a part of what belongs together at {cut} of {name}"
            reached = states.index(found, reached)
        at = end
    assert states[reached] == states[-1]
