"""Files of every version of the format that was ever released are read as they were meant, or refused by name."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from crash_script import State, recovered
from log_files import opened
from make_golden import decoded
from test_directory import sealed

import kvcy
from kvcy.errors import DamagedError, ManifestError
from probes import log_probe
from probes.operations_probe import decode

GOLDEN = Path(__file__).with_name("golden")
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())
EVERY_KIND = {"put", "delete", "expire", "splice", "flush", "swap"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the files of format 1."""
    return Path(shutil.copytree(GOLDEN / "v1" / "data", tmp_path / "data"))


def expected(version: str) -> State:
    return decoded((GOLDEN / version / "contents.json").read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_golden_files_hold_what_they_held(tmp_path: Path, version: str) -> None:
    copy = Path(shutil.copytree(GOLDEN / version / "data", tmp_path / "data"))
    assert recovered(copy) == expected(version)
    assert recovered(copy) == expected(version)


def test_the_log_has_every_kind_of_operation(data: Path) -> None:
    (snapshot,) = data.glob("snapshot-*")
    with opened(data) as directory:
        records, verdict = log_probe.read(directory, 4096, int(snapshot.name[9:], 16), b"history of a run")
    operations = [operation for record in records for operation in decode(record[-1])]
    assert {operation[0] for operation in operations} == EVERY_KIND
    assert verdict["found"] == "end"
    assert any(end // 4096 > position // 4096 for position, end, *_ in records)


def change(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_an_unknown_manifest_is_refused_by_name(data: Path) -> None:
    path = data / "kvcy.manifest"
    body = path.read_bytes().rpartition(b"crc32c ")[0]
    path.write_bytes(sealed(body.replace(b"kvcy-manifest 1", b"kvcy-manifest 2")))
    with pytest.raises(ManifestError, match=r"kvcy\.manifest is of format 2, which this version of kvcy does not know"):
        kvcy.open(data)


def test_an_unknown_segment_is_refused_by_name(data: Path) -> None:
    path = max(data.glob("log-*"))
    change(path, 8, struct.pack("<I", 2))
    with pytest.raises(DamagedError, match=f"{path.name}, .*a segment of another version of the format"):
        kvcy.open(data)


def test_an_unknown_snapshot_is_refused_by_name(data: Path) -> None:
    (path,) = data.glob("snapshot-*")
    change(path, 8, struct.pack("<I", 2))
    with pytest.raises(DamagedError, match=f"{path.name} .*version"):
        kvcy.open(data)
