"""A new line of history takes the old one's place in a data directory, and nothing is deleted.

    recovered.new/         the new files are written here; what is left of it after a crash is removed
    recovered-X/           they are complete: from the moment that it has this name, the switch is decided
    before-X/              the old files, X being the old history and the position up to which the new one follows it

Every step can be done again, and begins at a name that is renamed by one call; who opens the directory finishes what it
finds (`settle`). The rules: docs/durability.md, "Restore to a point".
"""

from __future__ import annotations

import contextlib
import os

from kvcy._core import Store
from kvcy._saving import Snapshots
from kvcy.engine.directory import LOCK_NAME, MANIFEST_NAME, Directory, Manifest, is_data, is_switch
from kvcy.errors import DirectoryError

BUILT = "recovered.new"
SWITCH = "recovered-"
ASIDE = "before-"


def switch_to(directory: Directory, store: Store, old: Manifest, position: int) -> str:
    """Makes what the store holds the directory's whole content, under a new history.

    Args:
        directory: locked; settled.
        store: made with the manifest's hash key and shards; has no log.
        old: the directory's manifest.
        position: of the old log, up to which the store follows it.

    Returns:
        The name of the directory, inside, which has the old files now.

    Raises:
        DirectoryError: the new files could not be written, or there are old ones of this name already.
        OSError: as they took their place; `settle` goes on.
    """
    name = f"{old.history.hex()}-{position:016x}"
    if ASIDE + name in directory.system.names(directory.file):
        raise DirectoryError(f"{directory.path}/{ASIDE}{name} is there already: move it away, or give it another name")
    new = Manifest(os.urandom(16), old.hash_key, old.shards, old.segment_bytes)
    begin = (last_segment(directory, old) + 1) * old.segment_bytes
    try:
        build(directory, store, new, begin)
        directory.publish(SWITCH + name, BUILT)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_directory(directory, BUILT)
        raise
    return settle(directory)


def last_segment(directory: Directory, manifest: Manifest) -> int:
    """The number of the last segment that is there, or that a snapshot's position lies in."""
    return max(directory.segments() + [one // manifest.segment_bytes for one in directory.snapshots()], default=0)


def build(directory: Directory, store: Store, manifest: Manifest, position: int) -> None:
    """Writes the new files, complete and synced; the log is to begin at `position`."""
    with Directory(os.path.join(directory.path, BUILT), directory.system) as place:
        place.write_manifest(manifest)
        snapshots = Snapshots(store, place, manifest)
        snapshots.end = position
        snapshots.prepare()
        snapshots.save()
        place.remove(LOCK_NAME)
        place.sync()


def settle(directory: Directory) -> str:
    """Finishes a switch that was decided, and removes what was begun of one that was not.

    Returns:
        The name of the directory, inside, which has the old files; "" when nothing was to be finished.
    """
    names = directory.system.names(directory.file)
    if BUILT in names:
        remove_directory(directory, BUILT)
    aside = ""
    for switch in filter(is_switch, names):
        aside = ASIDE + switch.removeprefix(SWITCH)
        finish(directory, switch, aside)
    return aside


def finish(directory: Directory, switch: str, aside: str) -> None:
    """Moves the old files aside and the new ones in. Once the new snapshot is in, no old file is left to be moved."""
    new = sorted(filter(is_data, names_in(directory, switch)), key=lambda name: name == MANIFEST_NAME)
    if any(name != MANIFEST_NAME for name in new):
        with contextlib.suppress(FileExistsError):
            directory.system.make_directory(os.path.join(directory.path, aside), 0o700)
        for name in sorted(filter(is_data, directory.system.names(directory.file))):
            directory.system.rename(name, f"{aside}/{name}", directory.file)
        sync(directory, aside)
        directory.sync()
    for name in new:
        directory.system.rename(f"{switch}/{name}", name, directory.file)
    directory.sync()
    remove_directory(directory, switch)
    directory.sync()


def names_in(directory: Directory, name: str) -> list[str]:
    """What the directory `name` inside it holds."""
    file = directory.system.open(name, os.O_RDONLY | os.O_DIRECTORY, 0, directory.file)
    try:
        return directory.system.names(file)
    finally:
        directory.system.close(file)


def sync(directory: Directory, name: str) -> None:
    """Makes the names in the directory `name` inside it last."""
    file = directory.system.open(name, os.O_RDONLY | os.O_DIRECTORY, 0, directory.file)
    try:
        directory.system.sync(file)
    finally:
        directory.system.close(file)


def remove_directory(directory: Directory, name: str) -> None:
    """Removes the directory `name` inside it, with the files in it."""
    for one in names_in(directory, name):
        directory.remove(f"{name}/{one}")
    directory.system.remove_directory(name, directory.file)
