"""Listening sockets and what accepted connections go through."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import trio
import trio.testing
from kvcy_server import free_port

from kvcy._core import Store
from kvcy.server import listeners
from kvcy.server.listeners import StartError
from kvcy.server.logs import Log
from kvcy.server.native import Native
from kvcy.server.options import Config, Options
from kvcy.server.requests import Request
from kvcy.server.server import Server, Signals


@pytest.fixture
def free() -> int:
    return free_port()


def test_an_address_that_is_missing_may_be_optional(free: int) -> None:
    # 192.0.2.0/24 is kept for documentation: no machine has it.
    sockets = listeners.open_tcp(["127.0.0.2", "-192.0.2.1"], free, 5)
    assert [one.getsockname() for one in sockets] == [("127.0.0.2", free)]
    for one in sockets:
        one.close()
    with pytest.raises(StartError, match=f"cannot listen on 192.0.2.1:{free}: Cannot assign requested address"):
        listeners.open_tcp(["127.0.0.2", "192.0.2.1"], free, 5)
    with pytest.raises(StartError, match="none of the addresses in 'bind' is this machine's"):
        listeners.open_tcp(["-192.0.2.1"], free, 5)
    # The failed attempts left nothing open.
    for one in listeners.open_tcp(["127.0.0.2"], free, 5):
        one.close()


def test_a_taken_port_is_an_error_even_when_optional(free: int) -> None:
    (held,) = listeners.open_tcp(["127.0.0.2"], free, 5)
    with held, pytest.raises(StartError, match=f"cannot listen on 127.0.0.2:{free}: Address already in use"):
        listeners.open_tcp(["-127.0.0.2"], free, 5)


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="a system that cannot be asked")
def test_within_the_machine_congestion_is_not_modelled(free: int) -> None:
    def control(one: socket.socket) -> bytes:
        return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")

    (listening,) = listeners.open_tcp(["127.0.0.2"], free, 5)
    with listening, socket.create_connection(("127.0.0.2", free)):
        accepted, _ = listening.accept()
        with accepted:
            assert control(accepted) == control(listening) == b"reno"
    (listening,) = listeners.open_tcp(["0.0.0.0"], free, 5)
    with listening, socket.socket() as plain:
        assert control(listening) == control(plain), "others may come from far away"


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(StartError, match=r"cannot listen on no such name:1: "):
        listeners.open_tcp(["no such name"], 1, 5)


def test_unix_socket_replaces_a_dead_one_only(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    first = listeners.open_unix(path, 0o600, 5)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(StartError, match="Address already in use"):
        listeners.open_unix(path, 0, 5)
    first.close()
    listeners.open_unix(path, 0, 5).close()
    os.unlink(path)
    Path(path).write_text("a file")
    with pytest.raises(StartError, match="Address already in use"):
        listeners.open_unix(path, 0, 5)
    assert Path(path).read_text() == "a file"


@pytest.mark.parametrize(
    ("address", "shown"), [("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7"), ("fe80::1%eth0", "[fe80::1%eth0]:7")]
)
def test_show(address: str, shown: str) -> None:
    assert listeners.show(address, 7) == shown


@pytest.mark.trio
async def test_accepts_and_configures(free: int) -> None:
    accepted: list[socket.socket] = []
    come = trio.Event()

    def take(connection: socket.socket) -> None:
        accepted.append(connection)
        if len(accepted) == 3:
            come.set()

    (listening,) = listeners.open_tcp(["127.0.0.1"], free, 5)
    with listening:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listeners.accept_forever, listening, take, Log())
            clients = [await trio.open_tcp_stream("127.0.0.1", free) for _ in range(3)]
            await come.wait()
            nursery.cancel_scope.cancel()
    for connection in accepted:
        listeners.configure(connection, 300)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 300
        assert listeners.is_loopback(connection)
        assert listeners.addresses(connection)[1] == f"127.0.0.1:{free}"
        connection.close()
    for client in clients:
        await client.aclose()


@pytest.mark.trio
async def test_who_comes_while_the_server_stops_is_nothing_to_complain_about(free: int, tmp_path: Path) -> None:
    async def answer(request: Request) -> bytes | None:
        raise AssertionError(request.name)

    path = tmp_path / "log"
    for _ in range(10):  # trio runs what is ready at once in any order
        store = Store()
        signals = Signals(lambda: None, lambda: None)
        server = Server(Config(Options(io_threads=1)), store, Native(store).service, Log(str(path)), answer, signals)
        server.load_done()
        sockets = listeners.open_tcp(["127.0.0.1"], free, 5)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, sockets)
            await trio.testing.wait_all_tasks_blocked()
            with socket.create_connection(("127.0.0.1", free)):
                server.shut_down()
    assert path.read_text() == ""
