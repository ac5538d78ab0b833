"""The data directory: one user, a manifest that is whole or refused, files that appear complete."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from kvcy.engine.directory import Directory, Manifest, System, crc32c, segment_name, snapshot_name
from kvcy.errors import DirectoryError, DirectoryInUseError, ManifestError

MANIFEST = Manifest(bytes(range(16)), bytes(range(16, 32)), 64)


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_a_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with Directory(tmp_path / "data") as directory:
        directory.write_manifest(MANIFEST)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for name in ("kvcy.lock", "kvcy.manifest"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600


def test_a_second_user_is_told_who_is_the_first(tmp_path: Path) -> None:
    said = f"{tmp_path} is in use by process {os.getpid()}$"
    with Directory(tmp_path), pytest.raises(DirectoryInUseError, match=said):
        Directory(tmp_path)
    Directory(tmp_path).close()


def test_a_file_system_without_locks_is_named_as_the_fault(tmp_path: Path) -> None:
    class Lockless(System):
        def lock(self, file: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with pytest.raises(DirectoryError, match=f"^{tmp_path}/kvcy.lock cannot be locked, .*: No locks available$"):
        Directory(tmp_path, Lockless())


def test_a_holder_that_has_not_said_its_number(tmp_path: Path) -> None:
    with Directory(tmp_path):
        (tmp_path / "kvcy.lock").write_bytes(b"")
        with pytest.raises(DirectoryInUseError, match="by another process"):
            Directory(tmp_path)


def test_the_lock_does_not_outlive_an_exec(tmp_path: Path) -> None:
    with Directory(tmp_path) as directory:
        assert not os.get_inheritable(directory.file)
        assert not os.get_inheritable(directory._lock)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "missing" / "data"):
        with pytest.raises(DirectoryError, match=f"the directory {path} cannot be used: "):
            Directory(path)


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    drawn = Manifest.drawn(128, 1 << 20)
    assert drawn != Manifest.drawn(128, 1 << 20)
    with Directory(tmp_path) as directory:
        assert directory.read_manifest() is None
        directory.write_manifest(drawn)
        assert directory.read_manifest() == drawn


def test_the_manifest_is_as_documented() -> None:
    assert MANIFEST.encode() == (
        b"kvcy-manifest 1\nhistory 000102030405060708090a0b0c0d0e0f\nhash-key 101112131415161718191a1b1c1d1e1f\n"
        b"shards 64\nsegment-bytes 67108864\ncrc32c a6bc6bca\n"
    )


def test_every_flip_and_truncation_of_a_manifest_is_noticed() -> None:
    whole = MANIFEST.encode()
    for place in range(len(whole) * 8):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        with pytest.raises(ManifestError):
            Manifest.decode(bytes(data))
    for size in range(len(whole)):
        with pytest.raises(ManifestError):
            Manifest.decode(whole[:size])


def sealed(text: bytes) -> bytes:
    return text + b"crc32c %08x\n" % crc32c(text)


def test_manifests_that_are_whole_but_impossible() -> None:
    body = MANIFEST.encode().rpartition(b"crc32c ")[0]
    assert Manifest.decode(sealed(body)) == MANIFEST
    for old, new, reason in (
        (b"kvcy-manifest 1", b"kvcy-manifest 2", "format 2, which this version"),
        (b"shards 64", b"shards 63", "63 shards"),
        (b"shards 64", b"shards 2048", "2048 shards"),
        (b"shards 64\n", b"", "as a manifest must be"),
        (b"segment-bytes 67108864", b"segment-bytes 0", "segments of 0 bytes"),
        (b"segment-bytes 67108864", b"segment-bytes 67108863", "no multiple of 4096"),
    ):
        with pytest.raises(ManifestError, match=reason):
            Manifest.decode(sealed(body.replace(old, new)))


def test_a_manifest_missing_beside_data_is_an_error(tmp_path: Path) -> None:
    with Directory(tmp_path) as directory:
        (tmp_path / segment_name(0)).touch()
        with pytest.raises(ManifestError, match=r"kvcy\.manifest is missing"):
            directory.read_manifest()


def test_files_are_listed_by_number_and_unfinished_ones_removed(tmp_path: Path) -> None:
    with Directory(tmp_path) as directory:
        for name in (
            segment_name(16),
            segment_name(2),
            snapshot_name(4096),
            "log-1",
            "snapshot-0000000000000001.new",
            "log-000000000000000G",
            "notes",
        ):
            (tmp_path / name).touch()
        assert directory.segments() == [2, 16]
        assert directory.snapshots() == [4096]
        assert directory.remove_unfinished() == ["snapshot-0000000000000001.new"]
        assert not (tmp_path / "snapshot-0000000000000001.new").exists()
        directory.remove(segment_name(2))
        directory.remove(segment_name(2))
        assert directory.segments() == [16]


class Played(System):
    """Writes one byte at a time, notes what lasts, and fails at the call it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.calls: list[str] = []

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.failing:
            raise OSError(5, "Input/output error")

    def write(self, file: int, data: bytes) -> int:
        return os.write(file, data[:1])

    def sync(self, file: int) -> None:
        self.note("sync directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "sync")

    def rename(self, old: str, new: str, directory: int) -> None:
        self.note("rename")
        super().rename(old, new, directory)


def test_a_file_is_synced_before_it_takes_its_name(tmp_path: Path) -> None:
    system = Played()
    with Directory(tmp_path, system) as directory:
        directory.write_manifest(MANIFEST)
        assert system.calls == ["sync directory", "sync", "rename", "sync directory"]
        assert directory.read_manifest() == MANIFEST


@pytest.mark.parametrize("failing", ["sync", "rename"])
def test_a_replacement_that_fails_leaves_what_was(tmp_path: Path, failing: str) -> None:
    system = Played()
    with Directory(tmp_path, system) as directory:
        directory.write_manifest(MANIFEST)
        system.failing = failing
        with pytest.raises(OSError, match="Input/output"):
            directory.write_manifest(Manifest.drawn(4))
        assert directory.read_manifest() == MANIFEST


def test_a_directory_that_cannot_be_locked_leaves_no_descriptor_open(tmp_path: Path) -> None:
    class Unlockable(System):
        def lock(self, file: int) -> None:
            raise OSError(37, "No locks available")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DirectoryError, match="No locks available"):
        Directory(tmp_path, Unlockable())
    assert len(os.listdir("/proc/self/fd")) == before
