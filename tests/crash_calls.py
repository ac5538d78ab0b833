"""Every call that changes the disk, of the engine and of the data directory alike, in one object that tests replace.

`Calls` makes them, and syncs nothing unless told to: what a sync is worth is not seen by the process that asks for it.
`at_seam` puts such an object where the engine and `Directory` make their calls.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

from kvcy import _opening, _restoring, _saving
from kvcy.engine.directory import Directory, Manifest, System
from probes import seam_probe

SEGMENT_BYTES = 4096  # of new data directories
SEGMENT_BYTES_ALWAYS = 8192  # with `always`: of several of the blocks in which it writes


class Calls(System):
    """The calls of a data directory's System, and those of the engine's seam (kvcy/engine/files.pxd).

    `direct`: whether the file system says that files can be written past its cache.
    """

    direct = True

    def before(self, kind: str, *about: Any) -> None:
        """Called before each call that changes the disk; may raise OSError in its place, or not return."""

    def make_directory(self, path: str, mode: int) -> None:
        self.before("make_directory")
        super().make_directory(path, mode)

    def open(self, name: str, flags: int, mode: int = 0o600, directory: int | None = None) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            self.before("open", name)
        return super().open(name, flags, mode, directory)

    def write(self, file: int, data: bytes) -> int:
        place = os.lseek(file, 0, os.SEEK_CUR)
        size = self.write_at(file, data, place)
        os.lseek(file, place + size, os.SEEK_SET)
        return size

    def write_at(self, file: int, data: bytes, offset: int) -> int:
        self.before("write", file, data, offset)
        return os.pwrite(file, data, offset)

    def allocate(self, file: int, size: int) -> None:
        self.before("allocate", file, size)
        os.posix_fallocate(file, 0, size)

    def truncate(self, file: int, size: int = 0) -> None:
        self.before("truncate")
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        self.before("sync", file)

    def rename(self, old: str, new: str, directory: int) -> None:
        self.before("rename")
        super().rename(old, new, directory)

    def unlink(self, name: str, directory: int) -> None:
        self.before("unlink")
        super().unlink(name, directory)

    def remove_directory(self, name: str, directory: int) -> None:
        self.before("remove_directory")
        super().remove_directory(name, directory)


@contextlib.contextmanager
def at_seam(calls: Calls, interrupted: bool = False, segment_bytes: int = SEGMENT_BYTES) -> Iterator[None]:
    """Within the block, data directories that are opened make their calls through `calls`.

    New ones get segments of that size, and always the same history and keys. Half of the engine's calls are interrupted
    first, if `interrupted`.
    """

    class SmallManifest(Manifest):
        @classmethod
        def drawn(cls, shards: int, segment_bytes: int = segment_bytes) -> Manifest:
            return Manifest(b"history of a run", b"a key for hashes", shards, segment_bytes)

    def directory(path: str | os.PathLike[str]) -> Directory:
        return Directory(path, calls)

    seam_probe.stand(calls, interrupted)
    try:
        with (
            mock.patch.multiple(_opening, Directory=directory, Manifest=SmallManifest),
            mock.patch.object(_restoring, "Directory", directory),
            mock.patch.object(_saving, "Directory", directory),
        ):
            yield
    finally:
        seam_probe.leave()


class Recorder(Calls):
    """Makes the calls and keeps `events`: what was done, in the order it was done in.

    Args:
        fail_sync: the number, from 1, of the sync of a file (not a directory) that fails with EIO.
        first_handle: above this openings are numbered.
        direct: as of Calls.
    """

    def __init__(self, fail_sync: int = 0, first_handle: int = 0, direct: bool = True) -> None:
        self.direct = direct
        self.events: list[tuple[Any, ...]] = []
        self._handles: dict[int, int] = {}  # descriptor -> a number of its own for each opening
        self._opened = first_handle
        self._syncs_left = fail_sync

    def note(self, *event: Any) -> None:
        self.events.append(event)

    def make_directory(self, path: str, mode: int) -> None:
        super().make_directory(path, mode)
        self.note("make_directory")

    def open(self, name: str, flags: int, mode: int = 0o600, directory: int | None = None) -> int:
        file = super().open(name, flags, mode, directory)
        self._opened += 1
        self._handles[file] = self._opened
        if flags & os.O_DIRECTORY:
            self.note("open_directory", self._opened, name)
        elif flags & (os.O_WRONLY | os.O_RDWR):
            self.note("open", self._opened, name, bool(flags & os.O_TRUNC))
        return file

    def write_at(self, file: int, data: bytes, offset: int) -> int:
        size = super().write_at(file, data, offset)
        self.note("write", self._handles[file], offset, data[:size])
        return size

    def allocate(self, file: int, size: int) -> None:
        super().allocate(file, size)
        self.note("allocate", self._handles[file], size)

    def truncate(self, file: int, size: int = 0) -> None:
        super().truncate(file, size)
        self.note("truncate", self._handles[file], size)

    def sync(self, file: int) -> None:
        if file not in self._handles:  # the data directory, by a descriptor of the engine's
            raise AssertionError("a sync of a file that was not opened here")
        handle = self._handles[file]
        if self._syncs_left and not os.path.isdir(f"/proc/self/fd/{file}"):
            self._syncs_left -= 1
            if self._syncs_left == 0:
                self.note("sync_failed", handle)
                raise OSError(5, "Input/output error")
        super().sync(file)
        self.note("sync", handle)

    def rename(self, old: str, new: str, directory: int) -> None:
        super().rename(old, new, directory)
        self.note("rename", old, new)

    def unlink(self, name: str, directory: int) -> None:
        super().unlink(name, directory)
        self.note("unlink", name)
