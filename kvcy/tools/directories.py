"""Opening a data directory that is to be looked at: never made, and not even locked where there is no data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kvcy.engine.directory import MANIFEST_NAME, Directory, Manifest, holds_data
from kvcy.errors import DirectoryError, DirectoryInUseError


class Unchanged(Directory):
    """A directory in which loading leaves even the files that were being written when a process ended."""

    def remove_unfinished(self) -> list[str]:
        return []


def open_directory(path: str, *, make: bool = False) -> Directory:
    """The directory, locked; with `make` made if need be, and then for changing.

    Raises:
        DirectoryInUseError: another process uses it; the message says what to do.
        DirectoryError: it cannot be used.
    """
    try:
        return Directory(path) if make else Unchanged(path, make=False)
    except DirectoryInUseError as error:
        raise DirectoryInUseError(
            f"{error}: end that first (a server: redis-cli shutdown); a copy made while it runs may look damaged"
        ) from None


@contextmanager
def opened(path: str) -> Iterator[tuple[Directory, Manifest]]:
    """The directory, locked, and its manifest, for the length of the block.

    Raises:
        DirectoryInUseError: another process uses it.
        ManifestError: its manifest is missing or damaged.
        DirectoryError: it cannot be used, or holds no data.
    """
    if not holds_data(path):
        raise DirectoryError(f"{path} holds no kvcy data: no {MANIFEST_NAME}, log or snapshot is to be seen there")
    with open_directory(path) as directory:
        manifest = directory.read_manifest()
        assert manifest is not None  # nobody else changes what was there when holds_data looked
        yield directory, manifest
