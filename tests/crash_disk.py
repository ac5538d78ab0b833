"""A disk as it may be found after the power failed: what `crash_calls.Recorder` saw done, and what of it had to last.

What a sync that returned covers is there. Of what came later, any subset of its pieces may be: the 512 or 4,096 bytes
of a write that lie in one sector, a change of size, a name that was given, changed or taken away. Of a sync that failed
nothing is known: what it should have covered may be there or not, and no later sync changes that, though the process
and those after it read what was written (the system's cache holds it).

The directory itself is treated as a file whose pieces are names. A piece that was written twice may be there in either
form. Not modelled: sectors that hold other bytes than were ever written to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

SECTORS = (512, 4096)
CHANCES = (0.0, 0.1, 0.5, 0.9, 1.0)  # that a piece which need not be there is


@dataclass
class Change:
    """One change of a file: bytes at an offset, or a size (data None; grow: it is never cut to it)."""

    offset: int
    data: bytes | None
    grow: bool = False
    sure: bool = False  # covered by a sync
    doubtful: bool = False  # covered by one that failed

    def apply(self, content: bytearray, part: slice | None = None) -> None:
        if self.data is None:
            if len(content) < self.offset:
                content.extend(bytes(self.offset - len(content)))
            elif not self.grow:
                del content[self.offset :]
            return
        first, last = (0, len(self.data)) if part is None else (part.start, part.stop)
        begin, end = self.offset + first, self.offset + last
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[begin:end] = self.data[first:last]

    def pieces(self, sector: int) -> list[slice | None]:
        """What may be there without the rest."""
        if self.data is None:
            return [None]
        cuts = [0, *range(sector - self.offset % sector, len(self.data), sector), len(self.data)]
        return [slice(begin, end) for begin, end in zip(cuts, cuts[1:], strict=False)]


@dataclass
class File:
    content: bytearray = field(default_factory=bytearray)  # all sure changes before the first that is not
    changes: list[Change] = field(default_factory=list)

    def settle(self) -> None:
        while self.changes and self.changes[0].sure:
            self.changes.pop(0).apply(self.content)

    def sync(self, failed: bool) -> None:
        for change in self.changes:
            if failed:
                change.doubtful = True
            elif not change.doubtful:
                change.sure = True
        self.settle()

    def live(self) -> bytes:
        """What a process reads."""
        content = bytearray(self.content)
        for change in self.changes:
            change.apply(content)
        return bytes(content)

    def found(self, random: Random, sector: int, chance: float) -> bytes:
        """What may be there after the power failed."""
        content = bytearray(self.content)
        for change in self.changes:
            for piece in change.pieces(sector):
                if change.sure or random.random() < chance:
                    change.apply(content, piece)
        return bytes(content)


class Disk:
    """A data directory on a disk, as the events so far have made it."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._made = False  # the directory's own name is synced
        self.names: dict[str, File] = {}  # as processes see them
        self._sure_names: dict[str, File] = {}
        self._renamings: list[tuple[str, str, File | None]] = []  # (name taken away, name given, to which file)
        self._open: dict[int, File | str] = {}  # what a handle means; a path: a directory

    def play(self, event: tuple[Any, ...]) -> None:
        """What one event does to the disk."""
        kind, *about = event
        if kind == "open_directory":
            self._open[about[0]] = about[1]
        elif kind == "open":
            self._play_open(*about)
        elif kind == "write":
            self._change(about[0], Change(about[1], about[2]))
        elif kind in ("allocate", "truncate"):
            self._change(about[0], Change(about[1], None, grow=kind == "allocate"))
        elif kind in ("sync", "sync_failed"):
            self._play_sync(about[0], kind == "sync_failed")
        elif kind == "rename":
            file = self.names.pop(about[0])
            self.names[about[1]] = file
            self._renamings.append((about[0], about[1], file))
        elif kind == "unlink":
            self.names.pop(about[0])
            self._renamings.append((about[0], "", None))

    def _play_open(self, handle: int, name: str, emptied: bool) -> None:
        if name not in self.names:
            self.names[name] = File()
            self._renamings.append(("", name, self.names[name]))
        elif emptied:
            self.names[name].changes.append(Change(0, None))
        self._open[handle] = self.names[name]

    def _change(self, handle: int, change: Change) -> None:
        file = self._open[handle]
        assert isinstance(file, File)
        file.changes.append(change)

    def _play_sync(self, handle: int, failed: bool) -> None:
        target = self._open[handle]
        if isinstance(target, File):
            target.sync(failed)
        elif target != self._path:
            self._made = True
        else:
            self._renamings = []
            self._sure_names = dict(self.names)

    @property
    def names_in_doubt(self) -> bool:
        """Whether any was given or taken away that no sync has covered."""
        return bool(self._renamings)

    def live(self) -> dict[str, bytes]:
        """What the next process finds when only this one ended."""
        return {name: file.live() for name, file in self.names.items()}

    def found(self, random: Random) -> dict[str, bytes]:
        """What may be found after the power failed now."""
        sector, chance, chance_of_names = random.choice(SECTORS), random.choice(CHANCES), random.choice(CHANCES)
        names = dict(self._sure_names)
        if not self._made and random.random() < 0.5:
            return {}
        for taken, given, file in self._renamings:
            if random.random() < chance_of_names:
                names.pop(taken, None)
                if file is not None:
                    names[given] = file
        return {name: file.found(random, sector, chance) for name, file in names.items()}


def lay_out(files: dict[str, bytes], directory: Path) -> None:
    """Makes `directory`, which is there, hold exactly these files."""
    for path in directory.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)
