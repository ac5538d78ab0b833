"""The clients against a real server: both kinds, and what becomes of a connection whose call was cut short."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import kvcy_server
import pytest
import trio

import kvcy
from kvcy.client import CallTimeoutError, Client, ConnectError, ConnectionLostError, TransactionAbortedError
from kvcy.client import trio as kvcy_trio
from kvcy.client._address import Address, parse_url
from kvcy.client._sync.connection import Connection

GENERATOR = Path(__file__).resolve().parent.parent / "tools" / "generate_sync_client.py"


@pytest.fixture(scope="module")
def server():
    with kvcy_server.running("--enable-debug-command", "yes") as running:
        yield running


@pytest.fixture
def client(server):
    with Client(f"kvcy://127.0.0.1:{server.port}") as opened:
        opened.flushall()
        yield opened


@pytest.fixture
def mute():
    """A port whose server accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_the_generated_files_are_current() -> None:
    result = subprocess.run([sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("kvcy://", Address()),
        ("redis://example.org", Address(host="example.org")),
        ("kvcy://me:pa%40ss@h:1/3", Address(host="h", port=1, user="me", password="pa@ss", database=3)),
        ("redis://:secret@[::1]:7/0", Address(host="::1", port=7, password="secret")),
        ("rediss://h", Address(host="h", tls=True)),
        ("unix:///run/kvcy.sock?db=2", Address(path="/run/kvcy.sock", database=2)),
    ],
)
def test_urls(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://h", "kvcy://h:port", "kvcy://h/x", "unix://", "kvcy://h:70000"]
)
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url)


def test_typed_methods(client: Client) -> None:
    assert client.set("k", "v") == b"OK"
    assert client.get("k") == b"v"
    assert client.set("k", 1, nx=True) is None
    assert client.set("k", 2, get=True, ex=100) == b"v"
    assert 0 < client.ttl("k") <= 100
    assert client.getex("k", persist=True) == b"2"
    assert client.incrby("k", 40) == 42
    assert client.mset({"a": 1, "b": 2.5}) == b"OK"
    assert client.mget("a", "b", "none") == [b"1", b"2.5", None]
    assert client.exists("a", "b", "a") == 3
    assert client.copy("a", "c") == 1
    assert client.delete("a", "none") == 1
    assert client.expire("c", 50, nx=True) == 1
    assert client.pexpire("c", 500, gt=True) == 0
    assert sorted(client.keys()) == [b"b", b"c", b"k"]
    assert sorted(client.scan_iter(count=1)) == [b"b", b"c", b"k"]
    assert list(client.scan_iter(match="b*")) == [b"b"]
    assert client.dbsize() == 3
    assert client.config_get("maxclients").keys() == {b"maxclients"}
    assert client.execute("ECHO", b"\x00\xff") == b"\x00\xff"


def test_error_replies_are_raised_and_leave_the_connection_usable(client: Client) -> None:
    with pytest.raises(kvcy.ReplyError, match="unknown command") as caught:
        client.execute("NONSENSE")
    assert caught.value.code == "ERR"
    first = client.client_id()
    with pytest.raises(kvcy.ReplyError):
        client.execute("INCR")
    assert client.client_id() == first


def test_pipelines(client: Client) -> None:
    assert client.pipeline().set("a", 1).incr("a").get("a").run() == [b"OK", 2, b"2"]
    assert client.pipeline(atomic=True).incr("a").incr("a").run() == [3, 4]
    assert client.pipeline().run() == []
    replies = client.pipeline().get("a").call("NONSENSE").get("a").run(raise_errors=False)
    assert replies[0] == replies[2] == b"4"
    assert isinstance(replies[1], kvcy.ReplyError)
    with pytest.raises(kvcy.ReplyError, match="unknown command"):
        client.pipeline(atomic=True).incr("a").call("NONSENSE").run()
    assert client.get("a") == b"4"


def test_watch_aborts_a_transaction(client: Client) -> None:
    with client.session() as session:
        session.watch("k")
        client.set("k", "changed")
        with pytest.raises(TransactionAbortedError):
            session.pipeline(atomic=True).set("k", "mine").run()
        session.watch("k")
        assert session.pipeline(atomic=True).set("k", "mine").run() == [b"OK"]
    assert client.get("k") == b"mine"


@pytest.mark.parametrize("arguments", [("MULTI",), (b"watch", "k"), ("Select", 3), ("HELLO", 2), ("RESET",)])
def test_what_belongs_to_a_connection_is_refused_by_the_pool(client: Client, arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"belongs to a connection: use it in a session\(\)"):
        client.execute(*arguments)
    with client.session() as session:
        session.execute(*arguments)


# More than the server keeps for a client that takes no replies: it reads on when they are taken.
LARGE = b"v" * (8 << 20)
LARGE_COUNT = 20


def test_replies_are_taken_while_a_long_pipeline_is_sent(client: Client) -> None:
    pipeline = client.pipeline()
    for _ in range(LARGE_COUNT):
        pipeline.set("k", LARGE).get("k")
    replies = pipeline.run()
    assert replies[::2] == [b"OK"] * LARGE_COUNT and all(reply == LARGE for reply in replies[1::2])
    assert client.delete("k") == 1


def test_replies_are_taken_while_trio_sends_a_long_pipeline(server) -> None:
    async def main() -> None:
        async with kvcy_trio.Client(f"kvcy://127.0.0.1:{server.port}") as client:
            pipeline = client.pipeline()
            for _ in range(LARGE_COUNT):
                pipeline.set("k", LARGE).get("k")
            replies = await pipeline.run()
            assert replies[::2] == [b"OK"] * LARGE_COUNT and all(reply == LARGE for reply in replies[1::2])
            assert await client.delete("k") == 1

    trio.run(main)


FORK = """
import os, sys
from kvcy.client import Client
client = Client(sys.argv[1])
number = client.client_id()
if os.fork() == 0:
    os._exit(client.client_id() == number)
assert os.wait()[1] == 0
assert client.client_id() == number
"""


def test_a_fork_uses_connections_of_its_own(server) -> None:
    subprocess.run([sys.executable, "-c", FORK, f"kvcy://127.0.0.1:{server.port}"], timeout=60, check=True)


def test_a_timed_out_call_takes_its_connection_with_it(client: Client, server) -> None:
    client.set("k", "right")
    with Client(f"kvcy://127.0.0.1:{server.port}", timeout_s=0.05, connections_max=1) as hasty:
        with pytest.raises(CallTimeoutError):
            hasty.execute("DEBUG", "SLEEP", "0.2")
        reply = None
        while reply is None:  # on a busy machine any call may take that long
            with contextlib.suppress(CallTimeoutError):
                reply = hasty.get("k")
        assert reply == b"right"


def test_a_server_that_never_answers(mute: int) -> None:
    with Client(f"kvcy://127.0.0.1:{mute}", connect_timeout_s=0.05) as client, pytest.raises(CallTimeoutError):
        client.ping()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(f"kvcy://127.0.0.1:{port}") as client, pytest.raises(ConnectError, match=str(port)):
        client.ping()


def kill(client: Client, number: int, connection: Connection) -> None:
    """Kills the connection, and waits until it is closed: CLIENT KILL answers before that."""
    client.client_kill("ID", number)
    assert select.select([connection._stream._socket], [], [], kvcy_server.TIMEOUT_S)[0]


def test_a_connection_the_server_closed_is_replaced(client: Client) -> None:
    with Client(client_url(client)) as other:
        number = other.client_id()
        kill(client, number, other._pool._idle[0])
        assert other.client_id() != number


def client_url(client: Client) -> str:
    address = client._pool._address
    return f"kvcy://{address.host}:{address.port}"


def test_a_lost_connection_is_an_error_of_its_own(client: Client) -> None:
    with Client(client_url(client)) as other, other.session() as session:
        kill(client, session.client_id(), session._connection)
        with pytest.raises(ConnectionLostError):
            session.ping()


def test_threads_share_a_client(client: Client) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(200):
                client.set(f"{number}", f"{number}:{i}")
                assert client.get(f"{number}") == f"{number}:{i}".encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


async def test_trio_client(server) -> None:
    async with kvcy_trio.Client(f"kvcy://127.0.0.1:{server.port}") as client:
        await client.flushall()
        assert await client.set("k", "v") == b"OK"
        assert await client.get("k") == b"v"
        assert await client.pipeline(atomic=True).incr("n").incr("n").run() == [1, 2]
        assert sorted([key async for key in client.scan_iter()]) == [b"k", b"n"]
        with pytest.raises(kvcy.ReplyError):
            await client.execute("NONSENSE")


async def test_a_cancelled_call_never_hands_its_reply_to_the_next(server) -> None:
    async with kvcy_trio.Client(f"kvcy://127.0.0.1:{server.port}", connections_max=2) as client:
        for i in range(50):
            await client.set(f"k{i}", i)
        for i in range(200):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.get, f"k{i % 50}")
                    for _ in range(i % 7):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            assert await client.get(f"k{(i + 1) % 50}") == b"%d" % ((i + 1) % 50)


async def test_trio_tasks_share_few_connections(server) -> None:
    async with kvcy_trio.Client(f"kvcy://127.0.0.1:{server.port}", connections_max=3) as client:

        async def work(number: int) -> None:
            for i in range(50):
                await client.set(f"{number}", i)
                assert await client.get(f"{number}") == b"%d" % i

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(work, number)


async def test_trio_timeouts(mute: int) -> None:
    async with kvcy_trio.Client(f"kvcy://127.0.0.1:{mute}", connect_timeout_s=0.05) as client:
        with pytest.raises(CallTimeoutError):
            await client.ping()
