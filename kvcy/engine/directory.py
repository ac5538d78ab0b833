"""The data directory: its lock, its manifest and the names in it (docs/durability.md, "The directory").

Every call on the file system goes through a `System`, which tests replace to play faults.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from kvcy.errors import DirectoryError, DirectoryInUseError, ManifestError

LOCK_NAME = "kvcy.lock"
MANIFEST_NAME = "kvcy.manifest"
NEW_SUFFIX = ".new"
SEGMENT_BYTES = 64 << 20
SEGMENT_BYTES_UNIT = 4096
SHARDS_MAX = 1024
MANIFEST_BYTES_MAX = 4096

_SEGMENT = re.compile(r"log-([0-9a-f]{16})")
_SNAPSHOT = re.compile(r"snapshot-([0-9a-f]{16})")
_UNFINISHED = re.compile(r"(kvcy\.manifest|log-[0-9a-f]{16}|snapshot(-[0-9a-f]{16})?)\.new")
_SWITCH = re.compile(r"recovered-[0-9a-f]{32}-[0-9a-f]{16}")
_MANIFEST = re.compile(
    r"kvcy-manifest (?P<version>\d{1,9})\n"
    r"history (?P<history>[0-9a-f]{32})\n"
    r"hash-key (?P<hash_key>[0-9a-f]{32})\n"
    r"shards (?P<shards>\d{1,9})\n"
    r"segment-bytes (?P<segment_bytes>\d{1,18})\n",
    re.ASCII,
)


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit: for manifests, which are short."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def segment_name(number: int) -> str:
    return f"log-{number:016x}"


def snapshot_name(position: int) -> str:
    return f"snapshot-{position:016x}"


def is_data(name: str) -> bool:
    """Whether it is the name of a file that belongs to one line of history: manifest, segment or snapshot."""
    return name == MANIFEST_NAME or bool(_SEGMENT.fullmatch(name) or _SNAPSHOT.fullmatch(name))


def is_switch(name: str) -> bool:
    """Whether it is the name of a directory with a new line of history that is to take the old one's place."""
    return bool(_SWITCH.fullmatch(name))


def holds_data(path: str | os.PathLike[str]) -> bool:
    """Whether a directory is there that has files of a kvcy store. Nothing is made and nothing locked."""
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return any(is_data(name) or is_switch(name) for name in names)


@contextmanager
def refusing(text: str) -> Iterator[None]:
    """Makes a DirectoryError of an OSError that the block raises: the text, and the system's words for it."""
    try:
        yield
    except OSError as error:
        raise DirectoryError(f"{text}: {error.strerror or error}") from error


class System:
    """The calls that are made, with descriptors and names relative to a directory's descriptor."""

    def make_directory(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    def open(self, name: str, flags: int, mode: int = 0o600, directory: int | None = None) -> int:
        return os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=directory)

    def close(self, file: int) -> None:
        os.close(file)

    def lock(self, file: int) -> None:
        """Raises BlockingIOError when another process holds it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def read(self, file: int, size: int) -> bytes:
        return os.read(file, size)

    def write(self, file: int, data: bytes) -> int:
        return os.write(file, data)

    def truncate(self, file: int) -> None:
        os.ftruncate(file, 0)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def rename(self, old: str, new: str, directory: int) -> None:
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def unlink(self, name: str, directory: int) -> None:
        os.unlink(name, dir_fd=directory)

    def remove_directory(self, name: str, directory: int) -> None:
        os.rmdir(name, dir_fd=directory)

    def names(self, directory: int) -> list[str]:
        return os.listdir(directory)


@dataclass(frozen=True)
class Manifest:
    """What the directory's other files are to be read with."""

    history: bytes
    hash_key: bytes
    shards: int
    segment_bytes: int = SEGMENT_BYTES
    version: int = 1

    @classmethod
    def drawn(cls, shards: int, segment_bytes: int = SEGMENT_BYTES) -> Manifest:
        """A new history with a new hash key."""
        return cls(os.urandom(16), os.urandom(16), shards, segment_bytes)

    def encode(self) -> bytes:
        text = (
            f"kvcy-manifest {self.version}\nhistory {self.history.hex()}\nhash-key {self.hash_key.hex()}\n"
            f"shards {self.shards}\nsegment-bytes {self.segment_bytes}\n"
        ).encode()
        return text + f"crc32c {crc32c(text):08x}\n".encode()

    @classmethod
    def decode(cls, data: bytes, path: str = MANIFEST_NAME) -> Manifest:
        """Raises ManifestError, which says what is wrong with the file `path`."""
        body, mark, checksum = data.rpartition(b"crc32c ")
        version = re.match(rb"kvcy-manifest (\d{1,9})\n", data)
        if version and int(version[1]) != 1:
            raise ManifestError(f"{path} is of format {int(version[1])}, which this version of kvcy does not know")
        if not mark or checksum != f"{crc32c(body):08x}\n".encode():
            raise ManifestError(f"{path} is damaged: its checksum is wrong")
        found = _MANIFEST.fullmatch(body.decode("latin-1"))
        if found is None:
            raise ManifestError(f"{path} is damaged: it is not as a manifest must be")
        shards, segment_bytes = int(found["shards"]), int(found["segment_bytes"])
        if not 0 < shards <= SHARDS_MAX or shards & (shards - 1):
            raise ManifestError(f"{path} is damaged: {shards} shards are impossible")
        if segment_bytes == 0 or segment_bytes % SEGMENT_BYTES_UNIT:
            raise ManifestError(
                f"{path} is damaged: segments of {segment_bytes} bytes are impossible: it is no multiple of "
                f"{SEGMENT_BYTES_UNIT}"
            )
        return cls(bytes.fromhex(found["history"]), bytes.fromhex(found["hash_key"]), shards, segment_bytes)


class Directory:
    """An open, locked data directory. Made if it is not there and `make` says so; `close` gives the lock up."""

    def __init__(self, path: str | os.PathLike[str], system: System | None = None, *, make: bool = True) -> None:
        """Raises DirectoryInUseError when another process uses it, DirectoryError when it cannot be used."""
        self.path = os.path.abspath(path)
        self.system = system or System()
        self._lock = -1
        self.file = -1  # the directory's descriptor
        try:
            if make:
                with suppress(FileExistsError):
                    self.system.make_directory(self.path, 0o700)
                    self._sync_parent()
            self.file = self.system.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            self._take_lock(make)
        except OSError as error:
            self.close()
            raise DirectoryError(f"the directory {self.path} cannot be used: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    def _sync_parent(self) -> None:
        """Make the directory's own name last, as far as its parent is ours to open."""
        try:
            parent = self.system.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            return
        try:
            self.system.sync(parent)
        finally:
            self.system.close(parent)

    def _take_lock(self, make: bool) -> None:
        try:
            lock = self.system.open(LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600, self.file)
        except OSError as error:
            if make or error.errno != errno.EROFS:
                raise
            return  # nobody can write here: neither a server nor what follows
        try:
            self.system.lock(lock)
        except BlockingIOError:
            holder = self.system.read(lock, 32).strip().decode("ascii", "replace")
            self.system.close(lock)
            by = f"process {holder}" if holder.isdigit() else "another process"
            raise DirectoryInUseError(f"the directory {self.path} is in use by {by}") from None
        except OSError as error:
            self.system.close(lock)
            raise DirectoryError(
                f"{self.path}/{LOCK_NAME} cannot be locked, so a second process could write here unnoticed: "
                f"{error.strerror}"
            ) from error
        except BaseException:
            self.system.close(lock)
            raise
        self._lock = lock
        self.system.truncate(lock)
        self._write_all(lock, b"%d\n" % os.getpid())

    def close(self) -> None:
        """Give the lock up; may be called again."""
        for file in (self._lock, self.file):
            if file >= 0:
                self.system.close(file)
        self._lock = self.file = -1

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- files

    def _write_all(self, file: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.system.write(file, bytes(view)) :]

    def sync(self) -> None:
        """Make the names in the directory last."""
        self.system.sync(self.file)

    def replace(self, name: str, data: bytes) -> None:
        """Give the file `name` this content, wholly or not at all, and lasting when it returns."""
        with self.writing(name + NEW_SUFFIX) as file:
            self._write_all(file, data)
            self.system.sync(file)
        self.publish(name)

    @contextmanager
    def writing(self, new: str) -> Iterator[int]:
        """The descriptor of the file `new`, made or emptied, for the length of the block."""
        file = self.system.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600, self.file)
        try:
            yield file
        finally:
            self.system.close(file)

    def publish(self, name: str, new: str = "") -> None:
        """Give the complete and synced file `new` (none: `name`.new) its name, and make that last."""
        self.system.rename(new or name + NEW_SUFFIX, name, self.file)
        self.sync()

    def remove(self, name: str) -> None:
        """Remove the file if it is there. It may come back after a power cut until `sync`."""
        with suppress(FileNotFoundError):
            self.system.unlink(name, self.file)

    def remove_unfinished(self) -> list[str]:
        """Remove what was being written when a process ended; returns the names."""
        names = sorted(name for name in self.system.names(self.file) if _UNFINISHED.fullmatch(name))
        for name in names:
            self.remove(name)
        return names

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        found = (pattern.fullmatch(name) for name in self.system.names(self.file))
        return sorted(int(match[1], 16) for match in found if match)

    def segments(self) -> list[int]:
        """The numbers of the log's segments, rising."""
        return self._numbers(_SEGMENT)

    def snapshots(self) -> list[int]:
        """The positions of the snapshots, rising."""
        return self._numbers(_SNAPSHOT)

    # --- the manifest

    def read_manifest(self) -> Manifest | None:
        """None when there is none and the directory holds no data either.

        Raises ManifestError when it is damaged, or missing beside data, or when another is to take its place.
        """
        path = os.path.join(self.path, MANIFEST_NAME)
        if any(is_switch(name) for name in self.system.names(self.file)):
            raise ManifestError(
                f"{self.path}: a restore to a point was interrupted as it took effect; the next start of a server on "
                "this directory completes it"
            )
        try:
            file = self.system.open(MANIFEST_NAME, os.O_RDONLY, 0, self.file)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise DirectoryError(f"{path} cannot be read: {error.strerror}") from error
            if self.segments() or self.snapshots():
                raise ManifestError(f"{path} is missing, without which the files beside it cannot be read") from None
            return None
        try:
            data = b""
            while len(data) <= MANIFEST_BYTES_MAX and (more := self.system.read(file, MANIFEST_BYTES_MAX + 1)):
                data += more
        except OSError as error:
            raise DirectoryError(f"{path} cannot be read: {error.strerror}") from error
        finally:
            self.system.close(file)
        return Manifest.decode(data, path)

    def write_manifest(self, manifest: Manifest) -> None:
        """Make it the directory's, whose own name lasts from then on, whoever made it."""
        self._sync_parent()
        self.replace(MANIFEST_NAME, manifest.encode())
