"""kvcy-server as its users start it: every failure is one line and exit status 1, every good start serves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import kvcy_server
import pytest

from kvcy.version import VERSION

TIMEOUT_S = 60
DEBIAN_CONFIG = Path("/etc/redis/redis.conf")


def start(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs kvcy-server to its end, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="kvcy-test-") as directory:
        return subprocess.run(
            [sys.executable, "-m", "kvcy", *arguments], input=text, capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False, cwd=directory,
        )  # fmt: skip


def failure(*arguments: str, text: str = "") -> str:
    """The one line with which the server says why it does not start."""
    result = start(*arguments, text=text)
    assert result.returncode == 1
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("kvcy-server: ")]
    others = [line for line in result.stderr.splitlines() if line not in lines]
    assert len(lines) == 1, result.stderr
    assert all(" is starting" in line for line in others), result.stderr
    return lines[0].removeprefix("kvcy-server: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--prot", "1"], "--prot: unknown option 'prot'; did you mean 'port'?"),
        (["--port"], "--port: option 'port': wrong number of arguments"),
        (["--port", "99999"], "--port: option 'port': argument must be between 0 and 65535 inclusive"),
        (["--maxmemory", "much"], "--maxmemory: option 'maxmemory': argument must be a memory value"),
        (["-x"], "unexpected argument '-x'"),
        (["--dir", "/nonexistent"], "can't use directory '/nonexistent' (option 'dir'): No such file or directory"),
        (["--dir", "/etc/passwd"], "can't use directory '/etc/passwd' (option 'dir'): Not a directory"),
        (["--logfile", "/nonexistent/log"], "can't open the log file '/nonexistent/log': No such file or directory"),
        (["/nonexistent.conf"], "can't read configuration file '/nonexistent.conf': No such file or directory"),
    ],
)
def test_bad_options(arguments: Sequence[str], line: str) -> None:
    assert failure(*arguments) == line


def test_bad_configurations(tmp_path: Path) -> None:
    path = tmp_path / "kvcy.conf"
    path.write_text("port 0\nbindd 127.0.0.1\n")
    assert failure(str(path)) == f"{path}:2: unknown option 'bindd'; did you mean 'bind'?"
    assert failure("-", text='requirepass "x\n') == "standard input:1: unbalanced quotes"


def test_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert failure("--port", str(port)) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_socket_path_that_cannot_be() -> None:
    assert failure("--port", "0", "--unixsocket", "/nonexistent/s").startswith(
        "cannot listen on Unix socket /nonexistent/s: "
    )


def test_a_server_that_nobody_could_reach() -> None:
    assert failure("--port", "0") == "nothing to listen on: 'port' is 0 and 'unixsocket' is not set"


def test_version_and_help() -> None:
    for flag in ("-v", "--version"):
        result = start(flag)
        assert result.returncode == 0 and result.stdout.startswith(f"kvcy server v={VERSION} ")
    for flag in ("-h", "--help"):
        result = start(flag)
        assert result.returncode == 0 and result.stdout.startswith("usage: kvcy-server ")


def test_a_good_start_is_logged_and_ends_with_a_signal(tmp_path: Path) -> None:
    pid_path = tmp_path / "pid"
    with kvcy_server.running("--pidfile", str(pid_path)) as server:
        assert pid_path.read_text() == f"{server.process.pid}\n"
        assert server.run("ping") == b"+PONG\r\n"
        assert server.stop(signal.SIGTERM) == 0
    text = "".join(server.log)
    assert f"kvcy {VERSION} is starting: port {server.port}, pid {server.process.pid}" in text
    assert "Ready to accept connections" in text and "bye" in server.log[-1]
    assert not pid_path.exists()


def test_standard_input_and_arguments(tmp_path: Path) -> None:
    port = kvcy_server.free_port()
    command = [sys.executable, "-m", "kvcy", "-", "--port", str(port), "--dir", str(tmp_path), "--logfile", "log"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("maxmemory 5mb\nport 1\n")
        process.stdin.close()
        client = connect(port)
        try:
            assert client.run("config", "get", "maxmemory") == b"*2\r\n$9\r\nmaxmemory\r\n$7\r\n5242880\r\n"
            assert client.run("config", "get", "dir") == resp_pair("dir", os.path.realpath(tmp_path))
        finally:
            client.close()
            process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    assert f"is starting: port {port}" in (tmp_path / "log").read_text()  # it may have been told to end while loading


def resp_pair(name: str, value: str) -> bytes:
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name.encode(), len(value), value.encode())


def connect(port: int) -> kvcy_server.Client:
    """A connection to a server that has just been started."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return kvcy_server.Client(socket.create_connection(("127.0.0.1", port)))
        except ConnectionRefusedError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def test_going_to_the_background(tmp_path: Path) -> None:
    port = kvcy_server.free_port()
    options = ["--daemonize", "yes", "--pidfile", "pid", "--logfile", "log", "--dir", str(tmp_path)]
    result = start("--port", str(port), *options)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    pid = int((tmp_path / "pid").read_text())
    try:
        with kvcy_server.Client(socket.create_connection(("127.0.0.1", port))) as client:
            assert client.run("echo", "there") == b"$5\r\nthere\r\n"  # also while it is still loading
        assert failure("--port", str(port), *options).endswith("Address already in use")
    finally:
        os.kill(pid, signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        for _ in range(TIMEOUT_S * 50):
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(0.02)


@pytest.mark.skipif(not DEBIAN_CONFIG.exists(), reason="Debian's redis-server is not installed")
def test_debians_configuration_starts_the_server(tmp_path: Path) -> None:
    """Its paths belong to another user and its port may be taken, so those are moved."""
    port = kvcy_server.free_port()
    moved = ["--port", str(port), "--dir", str(tmp_path), "--logfile", "log", "--pidfile", "pid", "--daemonize", "no"]
    with subprocess.Popen([sys.executable, "-m", "kvcy", str(DEBIAN_CONFIG), *moved]) as process:
        client = connect(port)
        try:
            assert client.run("config", "get", "slowlog-max-len") == resp_pair("slowlog-max-len", "128")
        finally:
            client.close()
            process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    assert (tmp_path / "log").read_text().count("have no effect in this version") == 1


def test_shutdown_and_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "kvcy.conf"
    path.write_text("# mine\ntimeout 5\n")
    with kvcy_server.running(prefix=(sys.executable, "-c", LAUNCH, str(path))) as server:
        assert server.run("config", "set", "timeout", "7") == b"+OK\r\n"
        assert server.run("config", "rewrite") == b"+OK\r\n"
        with server.connect() as client:
            client.send(["shutdown"])
            assert client.read_all() == b""
        assert server.wait() == 0
    assert path.read_text().startswith("# mine\ntimeout 7\n")


def test_usage_needs_no_server() -> None:
    """What a start imports is imported when there is to be one."""
    code = "import sys, kvcy.cli.server; kvcy.cli.server.main(['-h']); sys.exit('trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


# Starts the server with a configuration file as its first argument; what follows is `python -m kvcy --option ...`.
LAUNCH = """
import sys
from kvcy.cli.server import main
at = sys.argv.index("kvcy")
sys.exit(main([sys.argv[1], *sys.argv[at + 1:]]))
"""
