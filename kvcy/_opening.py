"""Opening a data directory: from its path to a loaded store whose changes are logged."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable

from kvcy._core import Store
from kvcy._loading import Loader, LoadReport
from kvcy._persistence import Persistence
from kvcy._switching import settle
from kvcy.engine import block_heap
from kvcy.engine.directory import Directory, Manifest, holds_data, refusing
from kvcy.errors import KvcyError

# Embedded stores whose logs this process's threads write, and their directories.
_opened: weakref.WeakKeyDictionary[Store, Directory] = weakref.WeakKeyDictionary()


def _leave_all() -> None:
    """In a forked child: a change would get into no log there, under `always` it would wait for ever, and the lock
    would be held for as long as the child lives."""
    for store, directory in tuple(_opened.items()):
        store.left = True
        store.on_close(None)
        directory.close()


os.register_at_fork(after_in_child=_leave_all)
os.register_at_fork(before=block_heap.hold, after_in_parent=block_heap.let_go, after_in_child=block_heap.let_go)


def open_data(
    path: str | os.PathLike[str],
    *,
    shards: int,
    policy: str | None,
    database: int = 0,
) -> tuple[Store, Persistence, LoadReport]:
    """claim_data and load_data in one: the same arguments, and they raise the same."""
    store, persistence = claim_data(path, shards=shards, logged=policy is not None, database=database)
    try:
        report = load_data(persistence, policy)
    except BaseException:
        persistence.close()
        raise
    return store, persistence, report


def claim_data(
    path: str | os.PathLike[str], *, shards: int, logged: bool, database: int = 0
) -> tuple[Store, Persistence]:
    """Locks the directory (made if need be), and makes the store for what it holds, still empty.

    Without a log, a directory that holds nothing is neither made nor locked: the first snapshot claims it
    (Snapshots.claim).

    Args:
        path: of the directory.
        shards: of a new directory; an old one keeps its number.
        logged: whether changes are going to be logged.
        database: which of the 16 databases the store's mapping shows.

    Raises:
        DirectoryInUseError: another process uses it.
        DirectoryError, ManifestError: it cannot be used; the message says why.
    """
    if not logged and not holds_data(path):
        drawn = Manifest.drawn(shards)
        store = Store(shards=shards, database=database, hash_key=drawn.hash_key)
        return store, Persistence(store, None, drawn)
    directory = Directory(path)
    try:
        with refusing(f"the directory {directory.path} cannot be used"):
            before = settle(directory)
            found = directory.read_manifest()
            manifest = Manifest.drawn(shards) if found is None else found
            if found is None:
                directory.write_manifest(manifest)
        store = Store(shards=manifest.shards, database=database, hash_key=manifest.hash_key)
        persistence = Persistence(store, directory, manifest)
        persistence.before = before
        return store, persistence
    except BaseException:
        directory.close()
        raise


def load_data(
    persistence: Persistence, policy: str | None, began: Callable[[Loader], None] | None = None
) -> LoadReport:
    """Loads what the directory of claim_data holds, and opens its log. After a failure close the persistence.

    Args:
        persistence: of a store that nobody uses before this has returned, but to read its counters.
        policy: always, everysec or no (appendfsync); None: nothing is logged.
        began: is called with what loads before it does: it tells how far it is, and can be stopped.

    Raises:
        LoadStopped: loading was stopped.
        DirectoryError, DamagedError, LogError: it cannot be used; the message says why.
        MemoryError: there is no memory for what it holds.
    """
    if persistence.directory is None:
        return LoadReport()
    with refusing(f"the directory {persistence.path} cannot be used"):
        report = persistence.load(began)
    report.before = persistence.before
    if policy is None:
        persistence.snapshots.end = report.position
    else:
        persistence.open_log(report, policy)
    return report


def open_store(path: str | os.PathLike[str], *, shards: int, policy: str, database: int) -> Store:
    """An embedded store: the log's threads run until it is closed, or the process ends."""
    store, persistence, _ = open_data(path, shards=shards, policy=policy, database=database)
    threads = [
        threading.Thread(target=persistence.flush, name="kvcy log flusher", daemon=True),
        threading.Thread(target=persistence.prepare, name="kvcy log preparer", daemon=True),
    ]
    for thread in threads:
        thread.start()

    def close() -> None:
        atexit.unregister(close_at_exit)
        persistence.stop()
        for thread in threads:
            thread.join()
        persistence.close()

    here = weakref.ref(store)

    def close_at_exit() -> None:
        if (one := here()) is not None and not one.closed and not one.left:
            try:
                one.close()
            except KvcyError as error:
                print(f"kvcy: {error}", file=sys.stderr)

    atexit.register(close_at_exit)
    store.on_close(close)
    if persistence.directory is not None:
        _opened[store] = persistence.directory
    return store
