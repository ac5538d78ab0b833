"""A run of a data directory by a script, what it promises at each moment, and what recovery must then find.

A run opens the directory, executes random commands of every kind of operation, waits for some of them to be durable,
writes snapshots, and closes the directory. What it does is noted as events among the calls it makes:

    restart N           it was opened and holds the N-th state; those behind are forgotten
    issued STATE        a command is about to be executed, after which the contents are STATE
    promised            all that was issued is durable, says the store

So what is found after a crash must be one of the states from the last promised to the last issued.
"""

from __future__ import annotations

import functools
import select
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from crash_calls import SEGMENT_BYTES, SEGMENT_BYTES_ALWAYS, Calls, at_seam

from kvcy import Store
from kvcy._opening import open_data
from kvcy._persistence import Persistence
from kvcy.errors import KvcyError, LogError

State = dict[tuple[int, bytes], tuple[bytes, int]]  # database and key -> value and expiry time in ms
SHARDS = 4
NOTES = ("restart", "issued", "promised")
LATER_MS = 10**14
TIMEOUT_S = 600  # a machine that others share may stand still for a minute


class Promise:
    """What the events so far promise."""

    def __init__(self) -> None:
        self.states: list[State] = [{}]
        self.promised = 0

    def play(self, event: tuple[Any, ...]) -> None:
        if event[0] == "restart":
            del self.states[event[1] + 1 :]
            self.promised = event[1]
        elif event[0] == "issued":
            self.states.append(event[1])
        elif event[0] == "promised":
            self.promised = len(self.states) - 1

    def place(self, found: State) -> int:
        """The number of the state that was found. Raises AssertionError when it is none that may be."""
        for number in range(len(self.states) - 1, self.promised - 1, -1):
            if self.states[number] == found:
                return number
        raise AssertionError(
            f"found {summary(found)}, which is state {[n for n, state in enumerate(self.states) if state == found]}, "
            f"where states {self.promised} to {len(self.states) - 1} may be"
        )


def summary(state: State) -> str:
    return str({key: (value[:10], len(value), expire_ms) for key, (value, expire_ms) in state.items()})


def keys_of(store: Store, database: int) -> State:
    """All keys of the database that the store shows, as keys of `database`."""
    keys = store.execute("KEYS", "*")
    return {(database, key): (store.execute("GET", key), store.execute("PEXPIRETIME", key)) for key in keys}


def contents(store: Store) -> State:
    """All keys of the two databases that scripts use."""
    state = keys_of(store, 0)
    store.execute("SWAPDB", "0", "1")
    state |= keys_of(store, 1)
    store.execute("SWAPDB", "0", "1")
    return state


def shadow_of(state: State) -> Store:
    """A store in memory with these contents."""
    store = Store(shards=SHARDS)
    for (database, key), (value, expire_ms) in sorted(state.items(), reverse=True):
        store.execute("SET", key, value)
        if expire_ms >= 0:
            store.execute("PEXPIREAT", key, str(expire_ms))
        if database == 1:
            store.execute("MOVE", key, "1")
    return store


def command(random: Random) -> list[str | bytes]:
    """One that changes something, as a rule; small records and such that reach over several segments."""
    key, other = (b"key:%d" % random.randrange(12) for _ in range(2))
    value = bytes(random.randrange(1, 256) for _ in range(random.choice((1, 8, 40, 300, 1000, 3000))))
    if random.random() < 0.03:
        value *= 5
    kind = random.randrange(40)
    if kind == 0:
        return ["SWAPDB", "0", "1"]
    if kind == 1:
        return [random.choice(("FLUSHALL", "FLUSHDB"))]
    if kind < 5:
        return ["DEL", key, other]
    if kind < 9:
        return ["PEXPIREAT", key, str(LATER_MS + random.randrange(1000))]
    if kind < 12:
        return ["MSET", key, value, other, value[:50], b"counter", b"%d" % random.randrange(10**6)]
    if kind < 14:
        return ["COPY", key, other, "DB", "1", "REPLACE"]
    if kind < 16:
        return ["MOVE", key, "1"]
    if kind < 20:
        return ["APPEND", key, value[:60]]
    if kind < 23:
        return ["SETRANGE", key, str(random.randrange(50)), value[:200]]
    if kind < 26:
        return ["INCRBY", "counter", str(random.randrange(1, 1000))]
    return ["SET", key, value]


def run(
    path: Path,
    calls: Calls,
    promise: Promise,
    seed: int,
    note: Callable[..., None] = lambda *_: None,
    *,
    commands: int = 40,
    policy: str | None = "no",
    saves: int = 2,
    forked: bool = False,
    interrupted: bool = False,
) -> None:
    """One run, from opening to closing. Ends early when the log breaks, or the directory cannot be opened.

    Args:
        path: of the directory.
        calls: make its calls; `interrupted` as for `at_seam`.
        promise: of the runs before; goes on with this one's.
        seed: of the commands.
        note: is called with each event that is noted.
        commands: how many there are.
        policy: appendfsync; None: there is no log, and only a snapshot promises anything.
        saves: how many snapshots are written.
        forked: whether children write them.
    """

    def happens(*event: Any) -> None:
        note(*event)
        promise.play(event)

    state = recovered_copy(path)
    with at_seam(calls, interrupted, SEGMENT_BYTES_ALWAYS if policy == "always" else SEGMENT_BYTES):
        try:
            store, persistence, _ = open_data(path, shards=SHARDS, policy=policy)
        except KvcyError:
            return
        happens("restart", promise.place(state))
        save = functools.partial(saved, persistence, path, forked)
        shadow = shadow_of(state)
        play_script(store, persistence, Random(seed), happens, commands, policy == "always", saves, save, shadow)


def play_script(
    store: Store,
    persistence: Persistence,
    random: Random,
    happens: Callable[..., None],
    commands: int,
    always: bool,
    saves: int,
    save: Callable[[], None],
    shadow: Store,
) -> None:
    """The part of `run` with the directory open. The shadow holds what the store does, in memory."""
    flusher = threading.Thread(target=persistence.flush if persistence.logging else lambda: None)
    flusher.start()
    try:
        save_at = set(random.sample(range(commands), saves))
        for number in range(commands):
            words = command(random)
            shadow.execute(*words)
            happens("issued", contents(shadow))
            tried_until_there_is_room(persistence, store.execute, *words)
            if number in save_at:
                tried_until_there_is_room(persistence, save)
            if always or number in save_at or (random.random() < 0.3 and waited(persistence)):
                happens("promised")
    except KvcyError:
        pass
    finally:
        persistence.stop()
        flusher.join()
        close(persistence, happens)


def tried_until_there_is_room(persistence: Persistence, do: Callable[..., object], *arguments: str | bytes) -> None:
    """A full disk refuses what would change it; another error of the log is for ever."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            do(*arguments)
            return
        except KvcyError as error:
            if persistence.broken or "No space left" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def saved(persistence: Persistence, path: Path, forked: bool) -> None:
    """Writes a snapshot."""
    persistence.snapshots.claim(str(path))
    if not forked:
        persistence.save()
        return
    child = persistence.snapshots.fork()
    try:
        while not child.read():
            assert select.select([child.pipe], [], [], TIMEOUT_S)[0]
        child.take()
    finally:
        child.close()


def waited(persistence: Persistence) -> bool:
    return persistence.logging and persistence.snapshots.wait(persistence.positions()[0])


def close(persistence: Persistence, happens: Callable[..., None]) -> None:
    """All that was issued is promised; but not by a broken log, which may have refused the last of it."""
    promises = persistence.logging and not persistence.broken
    try:
        persistence.close()
    except LogError:
        return
    if promises:
        happens("promised")


def recovered(path: Path) -> State:
    """What a process finds that opens the directory, in one database; and one that opens it again, in the other."""
    found: State = {}
    for database in (0, 1):
        with at_seam(Calls()):
            store, persistence, report = open_data(path, shards=SHARDS, policy="no", database=database)
            found |= keys_of(store, database)
            persistence.close()
    assert not report.torn
    return found


def recovered_copy(path: Path) -> State:
    """The same, with no trace left in the directory; nothing where it is not there."""
    if not path.exists():
        return {}
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as copy:
        shutil.copytree(path, copy, dirs_exist_ok=True)
        return recovered(Path(copy))
