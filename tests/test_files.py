"""engine/files.pyx: whole writes and reads whatever the system does, errors as they are, and the fault player."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes import fault_probe, files_probe

DATA = bytes(i * 13 & 255 for i in range(200_000))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    fault_probe.stop()
    os.close(descriptor)


@pytest.fixture
def file(directory: int) -> Iterator[int]:
    descriptor = files_probe.create(directory, b"file")
    assert descriptor >= 0
    yield descriptor
    files_probe.close(descriptor)


def test_the_hole_at_the_end(file: int) -> None:
    os.ftruncate(file, 1 << 20)
    hole = files_probe.last_hole(file)
    if hole == 1 << 20:
        pytest.skip("this file system does not tell holes")
    assert hole == 0
    assert files_probe.write_at(file, DATA, 100_000) == 0
    hole = files_probe.last_hole(file)
    assert 100_000 + len(DATA) <= hole < 1 << 20
    assert files_probe.read_at(file, 1 << 20, hole) == bytes((1 << 20) - hole)
    assert files_probe.write_at(file, b"end", (1 << 20) - 3) == 0
    assert files_probe.last_hole(file) == 1 << 20


def test_no_hole_is_invented(file: int) -> None:
    assert files_probe.last_hole(file) == 0
    assert files_probe.write_at(file, DATA, 0) == 0
    assert files_probe.last_hole(file) == len(DATA)
    read_end, write_end = os.pipe()
    assert files_probe.last_hole(read_end) == 0   # its size: nothing can be asked of it
    os.close(read_end)
    os.close(write_end)


def test_writes_and_reads(file: int, tmp_path: Path) -> None:
    assert files_probe.write_at(file, DATA, 10) == 0
    assert (tmp_path / "file").read_bytes() == bytes(10) + DATA
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert files_probe.read_at(file, 1000, 10) == DATA[:1000]
    assert files_probe.read_at(file, 1000, len(DATA)) == DATA[-10:]
    assert files_probe.read_at(file, 1000, 1 << 40) == b""
    assert files_probe.size(file) == len(DATA) + 10


def test_descriptors_are_not_inherited(file: int) -> None:
    assert not os.get_inheritable(file)


@pytest.mark.parametrize("seed", range(5))
def test_short_and_interrupted_calls_make_no_difference(file: int, tmp_path: Path, seed: int) -> None:
    fault_probe.play(interrupted=True, shortened=True, seed=seed + 1)
    assert files_probe.write_at(file, DATA, 3) == 0
    assert files_probe.write_zeros(file, 100_000, 1000) == 0
    assert files_probe.sync(file) == 0
    expected = bytes(3) + DATA
    expected = expected[:1000] + bytes(100_000) + expected[101_000:]
    assert files_probe.read_at(file, 1 << 20, 0) == expected
    assert fault_probe.counts()["write"] > 3


def test_errors_come_as_they_are(file: int) -> None:
    fault_probe.play("write", first=2, error=errno.ENOSPC)
    assert files_probe.write_at(file, b"first", 0) == 0
    assert files_probe.write_at(file, b"second", 0) == -errno.ENOSPC
    fault_probe.play("read", first=1, error=errno.EIO)
    assert files_probe.read_at(file, 5, 0) == -errno.EIO


def test_a_failed_sync_is_not_tried_again(file: int, directory: int) -> None:
    fault_probe.play("sync", first=1, last=1, error=errno.EIO)
    assert files_probe.sync(file) == -errno.EIO
    assert fault_probe.counts()["sync"] == 1
    fault_probe.play("sync_directory", first=1, last=1, error=errno.EIO)
    assert files_probe.sync_directory(directory) == -errno.EIO
    assert fault_probe.counts()["sync_directory"] == 1


@pytest.mark.parametrize("error", [0, errno.EOPNOTSUPP, errno.ENOSYS])
def test_allocates_with_and_without_the_system_s_help(file: int, tmp_path: Path, error: int) -> None:
    fault_probe.play("allocate", first=1 if error else 0, error=error)
    assert files_probe.allocate(file, 150_000) == 0
    assert (tmp_path / "file").read_bytes() == bytes(150_000)
    assert (fault_probe.counts()["write"] > 0) == bool(error)


def test_allocation_reports_a_full_disk(file: int) -> None:
    fault_probe.play("allocate", first=1, error=errno.ENOSPC)
    assert files_probe.allocate(file, 150_000) == -errno.ENOSPC


def test_names(directory: int, tmp_path: Path) -> None:
    assert files_probe.open_read(directory, b"none") == -errno.ENOENT
    assert files_probe.open_write(directory, b"none") == -errno.ENOENT
    descriptor = files_probe.create(directory, b"one")
    assert files_probe.write_at(descriptor, b"12345", 0) == 0
    assert files_probe.truncate(descriptor, 3) == 0
    files_probe.close(descriptor)
    assert files_probe.rename(directory, b"one", b"two") == 0
    assert files_probe.sync_directory(directory) == 0
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("two", b"123")]
    assert files_probe.unlink(directory, b"two") == 0
    assert files_probe.unlink(directory, b"two") == -errno.ENOENT
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(directory: int, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("elsewhere")
    assert files_probe.create(directory, b"link") == -errno.ELOOP
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
