"""kvcy check: whole, torn and damaged directories, directories in use, and its exit statuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kvcy_server
import pytest
from data_directories import HEADER, SEGMENT_BYTES, content, files, fill, flip, run, save, take_back_conclusion

from kvcy.engine.directory import segment_name
from kvcy.errors import DamagedError


def test_a_whole_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 50)
    name = save(data)
    fill(data, 50, 300)
    before = files(data)
    status, text = run(capsys, "check", data)
    assert status == 0
    assert f"{name}: 50 keys" in text
    assert "302 from position 0 to " in text
    assert text.endswith("clean: a server starts with all of it\n")
    assert files(data) == before


def test_the_log_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 300)
    status, text = run(capsys, "check", data)
    assert status == 0
    assert "snapshot   none" in text
    assert "301 from position 0 to " in text


def test_a_torn_tail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 10)
    take_back_conclusion(data)
    end = (data / segment_name(0)).read_bytes().rindex(b"key:9")
    flip(data / segment_name(0), end)
    status, text = run(capsys, "check", data)
    assert status == 1
    assert "torn tail" in text
    assert "9 from position 0" in text


@pytest.mark.parametrize("segment", [0, 1])
def test_a_damaged_record(tmp_path: Path, capsys: pytest.CaptureFixture[str], segment: int) -> None:
    data = tmp_path / "data"
    fill(data, 0, 200)
    flip(data / segment_name(segment), HEADER + 2000)
    status, text = run(capsys, "check", data)
    assert status == 2
    assert f"DAMAGED    {data}/{segment_name(segment)}, offset " in text
    assert f"kvcy repair {data}" in text


def test_a_damaged_segment_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 200)
    flip(data / segment_name(1), 20)
    status, text = run(capsys, "check", data)
    assert status == 2
    assert f"{segment_name(1)}, offset 0, log position " in text
    assert "header does not match its checksum" in text


def test_a_missing_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 200)
    (data / segment_name(1)).unlink()
    status, text = run(capsys, "check", data)
    assert status == 2
    assert "a segment is missing" in text


@pytest.mark.parametrize("place", [5, 60, 140, -30])
def test_a_damaged_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int) -> None:
    data = tmp_path / "data"
    fill(data, 0, 200)
    name = save(data)
    path = data / name
    flip(path, place if place > 0 else path.stat().st_size + place)
    status, text = run(capsys, "check", data)
    assert status == 2
    assert f"{name}: damaged" in text
    assert f"DAMAGED    {path}, offset " in text


def test_a_snapshot_of_another_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("data", "other"):
        fill(tmp_path / name, 0, 1)
    name = save(tmp_path / "other")
    (tmp_path / "other" / name).rename(tmp_path / "data" / name)
    status, text = run(capsys, "check", tmp_path / "data")
    assert status == 2
    assert "its history is not the manifest's" in text
    with pytest.raises(DamagedError, match=f"{name} does not belong here: .* history"):
        content(tmp_path / "data")


def test_damage_that_no_server_meets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The segment in which the snapshot's position lies holds records from before it too."""
    data = tmp_path / "data"
    fill(data, 0, 20)
    save(data)
    fill(data, 20, 30)
    flip(data / segment_name(0), HEADER + 300)
    status, text = run(capsys, "check", data)
    assert status == 2
    assert "no server needs this" in text
    assert "damaged, but a server starts" in text


def test_a_log_that_ends_before_its_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 200)
    save(data)
    for one in data.glob("log-*"):
        one.unlink()
    status, text = run(capsys, "check", data)
    assert status == 2
    assert "DAMAGED" in text


def test_a_damaged_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    fill(data, 0, 1)
    flip(data / "kvcy.manifest", 30)
    status, text = run(capsys, "check", data)
    assert status == 2
    assert "kvcy.manifest is damaged" in text


def test_a_directory_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes") as server:
        server.run("SET", "a", "1")
        for command in ("check", "repair"):
            status, text = run(capsys, command, tmp_path)
            assert status == 3
            assert f"in use by process {server.process.pid}" in text


@pytest.mark.parametrize("command", ["check", "repair"])
def test_a_directory_without_data_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(capsys, command, tmp_path)[0] == 3
    assert run(capsys, command, tmp_path / "none")[0] == 3
    assert list(tmp_path.iterdir()) == []


def test_bad_use_and_help() -> None:
    command = [sys.executable, "-m", "kvcy.cli.tools"]
    for words, expected in (([], 3), (["nonsense"], 3), (["check"], 3), (["--help"], 0), (["check", "--help"], 0)):
        ended = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == expected, words
        assert "Traceback" not in ended.stderr


def test_a_server_s_directory_with_segments_of_the_usual_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kvcy_server.running("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always") as server:
        server.run("MSET", "a", "1", "b", "2")
        server.run("SWAPDB", "0", "1")
        server.run("SAVE")
        server.run("SET", "c", b"x" * (SEGMENT_BYTES * 3))
        server.process.kill()
        server.wait()
    status, text = run(capsys, "check", tmp_path)
    assert status == 0
    assert ": 2 keys" in text
