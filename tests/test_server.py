"""The whole server as a process, over real sockets."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import kvcy_server
import pytest
import resp
from kvcy_server import Client, Server

IDLE_BYTES_MAX = 1024
IDLE_CONNECTIONS = 2000


@pytest.fixture(params=["tcp", "unix"])
def client(request: pytest.FixtureRequest, server: Server) -> Client:
    connected = server.connect() if request.param == "tcp" else server.connect_unix()
    request.addfinalizer(connected.close)
    return connected


def test_serves_tcp_and_the_unix_socket(client: Client) -> None:
    assert client.run("PING") == b"+PONG\r\n"
    assert client.run("SET", "key", "value") == b"+OK\r\n"
    assert client.run("GET", "key") == b"$5\r\nvalue\r\n"


def test_serves_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
    with kvcy_server.running("--bind", "::1") as server, server.connect("::1") as client:
        assert client.run("PING") == b"+PONG\r\n"


def test_takes_a_pipeline_in_tiny_pieces(client: Client) -> None:
    pipeline = resp.encode(("SET", "key", "value")) + resp.encode(("GET", "key")) + b"PING\r\n"
    for byte in pipeline:
        client.socket.sendall(bytes([byte]))
    assert [client.read() for _ in range(3)] == [b"+OK\r\n", b"$5\r\nvalue\r\n", b"+PONG\r\n"]


def test_python_answers_in_the_middle_of_a_pipeline(client: Client) -> None:
    client.send(("SET", "key", "1"), ("CONFIG", "GET", "port"), ("GET", "key"), ("INFO", "server"), ("PING",))
    replies = [client.read() for _ in range(5)]
    assert replies[0] == b"+OK\r\n"
    assert replies[1].startswith(b"*2\r\n$4\r\nport\r\n")
    assert replies[2] == b"$1\r\n1\r\n"
    assert b"redis_version:" in replies[3]
    assert replies[4] == b"+PONG\r\n"


def test_large_values_both_ways(client: Client) -> None:
    value = os.urandom(5_000_000)
    client.send(("SET", "large", value), ("GET", "large"))
    assert client.read() == b"+OK\r\n"
    assert client.read() == b"$5000000\r\n" + value + b"\r\n"


def test_a_reset_in_the_middle_of_a_reply_hurts_nobody(server: Server) -> None:
    with server.connect() as other:
        other.run("SET", "key", "v" * 5_000_000)
        for _ in range(5):
            client = server.connect()
            client.send(("GET", "key"), ("GET", "key"))
            client.socket.recv(1000)
            # Linger of zero: close() sends a reset.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.close()
        assert other.run("PING") == b"+PONG\r\n"


@pytest.mark.skipif(kvcy_server.SANITIZED, reason="memory is AddressSanitizer's")
def test_idle_connections_are_small() -> None:
    options = ("--maxclients", str(IDLE_CONNECTIONS + 100))
    with kvcy_server.running(*options) as server, contextlib.ExitStack() as held:

        def connect(count: int) -> None:
            for _ in range(count):
                assert held.enter_context(server.connect()).run("PING") == b"+PONG\r\n"

        connect(500)
        before = server.resident_bytes()
        connect(IDLE_CONNECTIONS - 500)
        assert (server.resident_bytes() - before) / (IDLE_CONNECTIONS - 500) <= IDLE_BYTES_MAX


def test_a_client_that_never_reads_cannot_take_all_memory() -> None:
    limit = ("--client-output-buffer-limit", "normal 4mb 0 0")
    with kvcy_server.running(*limit) as server, server.connect() as other, server.connect() as client:
        other.run("SET", "key", "v" * 10_000)
        before = server.resident_bytes()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(1000):
                client.send(*[("GET", "key")] * 1000)
        assert server.resident_bytes() - before < 64 * 1024 * 1024
        assert other.run("PING") == b"+PONG\r\n"


def test_maxclients() -> None:
    with kvcy_server.running("--maxclients", "2") as server:
        with server.connect() as first, server.connect_unix() as second:
            assert first.run("PING") == second.run("PING") == b"+PONG\r\n"
            with server.connect() as third:
                assert third.read_all() == b"-ERR max number of clients reached\r\n"
            assert b"rejected_connections:1" in first.run("INFO", "stats")
        with server.connect() as fourth:
            data = fourth.run("PING")
            # The two may not have been seen to leave yet.
            assert data in (b"+PONG\r\n", b"-ERR max number of clients reached\r\n")


def test_timeout_closes_idle_clients() -> None:
    with kvcy_server.running("--timeout", "1") as server, server.connect() as tcp, server.connect_unix() as unix:
        assert tcp.read_all() == unix.read_all() == b""


def other_address() -> str | None:
    """An address of this machine that is not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only looks up the route
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address


def test_protected_mode_serves_this_machine_only() -> None:
    address = other_address()
    if address is None:
        pytest.skip("this machine has only its loopback")
    with kvcy_server.running("--bind", f"127.0.0.1 {address}") as server:
        with server.connect(address) as client:
            assert client.read_all().startswith(b"-DENIED kvcy is running in protected mode because protected mode is")
        with server.connect() as client:
            assert client.run("CONFIG", "SET", "protected-mode", "no") == b"+OK\r\n"
        with server.connect(address) as client:
            assert client.run("PING") == b"+PONG\r\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_what_was_received_and_exits_0(number: int) -> None:
    with kvcy_server.running() as server:
        with server.connect() as tcp, server.connect_unix() as unix:
            for client in (tcp, unix):
                # Few enough to lie in the server's socket when send returns.
                client.send(*[("INCR", "counter")] * 1000)
            assert tcp.read().startswith(b":") and unix.read().startswith(b":")
            assert server.stop(number) == 0
            assert tcp.read_all().count(b":") == unix.read_all().count(b":") == 999
        assert not os.path.exists(server.unix_path)
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_second_signal_ends_it_at_once() -> None:
    patient = ("--shutdown-timeout", "3600")
    with kvcy_server.running(*patient) as server, server.connect() as other, server.connect() as client:
        other.run("SET", "key", "v" * 10_000_000)
        # A client that does not read holds the first signal up.
        client.send(*[("GET", "key")] * 3)
        client.socket.recv(1)
        server.process.send_signal(signal.SIGTERM)
        assert other.read_all() == b""
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_the_deadline_ends_it_too() -> None:
    with kvcy_server.running("--shutdown-timeout", "0") as server, server.connect() as client:
        client.run("SET", "key", "v" * 10_000_000)
        client.send(*[("GET", "key")] * 3)
        client.socket.recv(1)
        assert server.stop() == 0


@pytest.mark.parametrize("words", [("SHUTDOWN",), ("SHUTDOWN", "NOSAVE")])
def test_shutdown_command(words: tuple[str, ...]) -> None:
    with kvcy_server.running() as server:
        with server.connect() as other, server.connect() as client:
            assert other.run("PING") == b"+PONG\r\n"
            client.send(words)
            assert client.read_all() == b""
            assert other.read_all() == b""
        assert server.wait() == 0


def start(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kvcy", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=kvcy_server.TIMEOUT_S,
        check=False,
    )


def test_a_taken_port_is_one_line_and_exit_1(server: Server, tmp_path: Path) -> None:
    result = start(tmp_path, "--port", str(server.port))
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in last


def test_a_taken_unix_path_is_one_line_and_exit_1(server: Server, tmp_path: Path) -> None:
    result = start(tmp_path, "--port", "0", "--unixsocket", server.unix_path)
    assert result.returncode == 1
    assert f"cannot listen on Unix socket {server.unix_path}: Address already in use" in result.stderr.splitlines()[-1]


def test_unix_socket_permissions() -> None:
    with kvcy_server.running("--unixsocketperm", "700") as server:
        assert stat.S_IMODE(os.stat(server.unix_path).st_mode) == 0o700


def test_client_kill_reaches_both_paths(server: Server) -> None:
    with server.connect() as tcp, server.connect_unix() as unix, server.connect() as killer:
        for victim in (tcp, unix):
            number = victim.run("CLIENT", "ID")[1:-2]
            assert killer.run("CLIENT", "KILL", "ID", number) == b":1\r\n"
            assert victim.read_all() == b""


def test_a_client_of_the_unix_socket_may_read_late(server: Server) -> None:
    with server.connect_unix() as client:
        client.run("SET", "key", "v" * 100_000)
        client.send(*[("GET", "key")] * 200, ("PING",))
        readable, _, _ = select.select([client.socket], [], [], kvcy_server.TIMEOUT_S)
        assert readable
        for _ in range(200):
            assert len(client.read()) == 100_011
        assert client.read() == b"+PONG\r\n"


def test_several_reactors_share_the_data() -> None:
    with kvcy_server.running("--io-threads", "3") as server:
        clients = [server.connect() for _ in range(12)]
        for client in clients:
            client.send(*[("INCR", "counter")] * 500, ("CONFIG", "GET", "io-threads"))
        for client in clients:
            for _ in range(500):
                assert client.read().startswith(b":")
            assert client.read() == b"*2\r\n$10\r\nio-threads\r\n$1\r\n3\r\n"
        assert clients[0].run("GET", "counter") == b"$4\r\n6000\r\n"
        assert server.stop() == 0
        for client in clients:
            assert client.read_all() == b""
            client.close()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_other_signals_do_not_end_it(number: int) -> None:
    with kvcy_server.running() as server, server.connect() as client:
        server.process.send_signal(number)
        assert client.run("PING") == b"+PONG\r\n"
        assert server.stop() == 0
