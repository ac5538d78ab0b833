"""The pid file, descriptor limits, systemd's notification, and what the launcher tells."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from kvcy.server.logs import Log
from kvcy.server.process import SPARE_DESCRIPTORS, Launcher, allow_clients, notify_systemd, pid_file


def test_pid_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path), Log("/dev/null")):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
    with pid_file("", Log("/dev/null")):
        assert list(tmp_path.iterdir()) == []


def test_a_pid_file_that_cannot_be_written_is_logged(tmp_path: Path) -> None:
    log_path = tmp_path / "log"
    with pid_file(str(tmp_path / "missing" / "pid"), Log(str(log_path))):
        pass
    assert "Failed to write PID file" in log_path.read_text()


def test_descriptors_for_clients() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert allow_clients(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
        assert allow_clients(400) == 400
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400 + SPARE_DESCRIPTORS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify_systemd("READY=1\n")
        assert systemd.recv(100) == b"READY=1\n"
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
        notify_systemd("READY=1\n")
        monkeypatch.delenv("NOTIFY_SOCKET")
        notify_systemd("READY=1\n")
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_launcher(capfd: pytest.CaptureFixture[str]) -> None:
    Launcher().ready()
    Launcher().failed("why")
    assert capfd.readouterr().err == "why\n"
    reading, writing = os.pipe()
    launcher = Launcher(writing)
    launcher.failed("why")
    launcher.ready()  # only the first counts
    assert os.read(reading, 100) == b"why"
    assert os.read(reading, 100) == b""
    os.close(reading)
