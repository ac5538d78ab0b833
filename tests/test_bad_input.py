"""Input that no decent client sends, and how it comes: each gets its error or its disconnect, others notice nothing."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterator

import generators
import kvcy_server
import pytest
import resp
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from kvcy_server import SANITIZED, Client, Server

# A million arguments take some 100 MB for a while.
MEMORY_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with kvcy_server.running() as running:
        yield running


@pytest.fixture
def other(server: Server) -> Iterator[Client]:
    """A client beside the bad one: served before and after, and memory is back where it was."""
    with server.connect() as client:
        assert client.run("PING") == b"+PONG\r\n"
        assert client.run("FLUSHALL") == b"+OK\r\n"
        before = server.resident_bytes()
        yield client
        assert client.run("PING") == b"+PONG\r\n"
        assert client.run("FLUSHALL") == b"+OK\r\n"
        # What is freed off the hot path is freed a little later: others' commands go on meanwhile.
        for _ in range(20_000):
            if SANITIZED or server.resident_bytes() - before < MEMORY_BYTES_MAX:
                break
            assert client.run("PING") == b"+PONG\r\n"
        assert SANITIZED or server.resident_bytes() - before < MEMORY_BYTES_MAX


def test_random_bytes(server: Server, other: Client) -> None:
    noise = random.Random(4711)
    for number in range(200):
        with server.connect() if number % 2 else server.connect_unix() as client, contextlib.suppress(OSError):
            client.socket.sendall(noise.choice([b"", b"*3\r\n", b"*1\r\n$4\r\n", b"$"]) + noise.randbytes(3000))
            client.socket.shutdown(1)
            client.read_all()
        if number % 50 == 0:
            assert other.run("PING") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"*-5\r\nPING\r\n", b"+PONG\r\n"),
        (b"*99999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*abc\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$1000000000\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n"),
        (b"x" * 70_000, b"-ERR Protocol error: too big inline request\r\n"),
        (b"*" + b"1" * 70_000, b"-ERR Protocol error: too big mbulk count string\r\n"),
        (b"*1\r\n$" + b"1" * 70_000, b"-ERR Protocol error: too big bulk count string\r\n"),
        (b'SET "key\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ],
)
@pytest.mark.parametrize("path", ["tcp", "unix"])
def test_protocol_errors(server: Server, other: Client, path: str, sent: bytes, error: bytes) -> None:
    with server.connect() if path == "tcp" else server.connect_unix() as client:
        with contextlib.suppress(ConnectionError):
            client.socket.sendall(sent)
            if error.startswith(b"+"):
                assert client.read() == error
                return
        assert client.read_all() == error


@pytest.mark.parametrize("path", ["tcp", "unix"])
def test_truncated_commands(server: Server, other: Client, path: str) -> None:
    command = resp.encode(("SET", "truncated", "v" * 100_000))
    for size in (1, 3, 10, 30, 50, 40_000, len(command) - 1):
        with server.connect() if path == "tcp" else server.connect_unix() as client:
            client.socket.sendall(command[:size])
            client.socket.shutdown(1)
            assert client.read_all() == b""
    assert other.run("EXISTS", "truncated") == b":0\r\n"


def test_a_length_takes_no_memory_before_its_bytes_come(server: Server, other: Client) -> None:
    before = server.resident_bytes()
    with contextlib.ExitStack() as held:
        for _ in range(50):
            client = held.enter_context(server.connect())
            client.socket.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$536870912\r\nonly these bytes")
            client = held.enter_context(server.connect())
            client.socket.sendall(b"*1000000\r\n$3\r\nDEL\r\n")
        assert other.run("PING") == b"+PONG\r\n"
        assert server.resident_bytes() - before < MEMORY_BYTES_MAX


@pytest.mark.parametrize("path", ["tcp", "unix"])
@pytest.mark.parametrize(
    ("name", "reply"),
    [
        (b"DEL", b":0\r\n"),
        (b"MGET", b"*999999\r\n" + b"$-1\r\n" * 999_999),
        (b"NONSENSE", b"-ERR unknown command 'NONSENSE', with args beginning with: " + b"'k' " * 32 + b"\r\n"),
        (b"GET", b"-ERR wrong number of arguments for 'get' command\r\n"),
    ],
)
def test_a_million_arguments(server: Server, other: Client, path: str, name: bytes, reply: bytes) -> None:
    with server.connect() if path == "tcp" else server.connect_unix() as client:
        client.socket.sendall(b"*1000000\r\n$%d\r\n%b\r\n" % (len(name), name) + b"$1\r\nk\r\n" * 999_999 + b"QUIT\r\n")
        assert client.read_all() == reply + b"+OK\r\n"


def test_binary_keys_and_values(server: Server, other: Client) -> None:
    for key in (b"", b"\0", b"\r\n", bytes(range(256)), b"\xff" * 5000, "ключ".encode()):
        assert other.run("SET", key, key + b"\0v") == b"+OK\r\n"
        assert other.run("GET", key) == b"$%d\r\n%b\r\n" % (len(key) + 2, key + b"\0v")


def test_many_slow_clients_at_once(server: Server, other: Client) -> None:
    command = resp.encode(("SET", "slow", "value")) + resp.encode(("GET", "slow"))
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(server.connect()) for _ in range(20)]
        for byte in command:
            for client in clients:
                client.socket.sendall(bytes([byte]))
        for client in clients:
            assert [client.read(), client.read()] == [b"+OK\r\n", b"$5\r\nvalue\r\n"]


def test_clients_that_come_and_go(server: Server, other: Client) -> None:
    for number in range(500):
        client = server.connect() if number % 2 else server.connect_unix()
        if number % 3:
            client.send(("SET", "key", "v" * 1000), ("GET", "key"))
        client.close()


# --- wherever a pipeline is cut, the replies are the same

PIPELINE = 400
# What these say depends on more than the commands before them: on the clock, on chance, on the table's size.
UNSTEADY = {b"RANDOMKEY", b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME", b"OBJECT", b"MEMORY"}


@functools.cache
def pipeline(seed: int) -> bytes:
    """A mixed pipeline: commands of all kinds, inline ones, large values, errors, transactions, one for Python."""
    draw = random.Random(seed)
    commands: list[bytes] = [resp.encode(["FLUSHALL"])]
    for command in generators.mixed(draw, PIPELINE):
        if command[0].upper() in UNSTEADY:
            continue
        chance = draw.random()
        if chance < 0.02:
            commands.append(resp.encode(["SET", "large", draw.randbytes(draw.randrange(100_000))]))
        elif chance < 0.04:
            commands.append(resp.encode(["GET", "large"]))
        elif chance < 0.06:
            commands.append(b'set inline "a \\x41 value"\r\nGET inline\r\n\r\n')
        elif chance < 0.08:
            commands.append(
                b"".join(map(resp.encode, (["MULTI"], ["INCR", "n"], ["NONSENSE"], ["INCR", "n"], ["EXEC"])))
            )
        elif chance < 0.1:
            commands.append(b"".join(map(resp.encode, (["MULTI"], ["APPEND", "a", "x"], ["GET", "a"], ["EXEC"]))))
        elif chance < 0.11:
            commands.append(resp.encode(["CONFIG", "GET", "port"]))
        elif chance < 0.12:
            commands.append(resp.encode(["HELLO", draw.choice("23"), "SETNAME", "me"]) + b"CLIENT GETNAME\r\n")
        commands.append(resp.encode(command))
    return b"".join(commands) + resp.encode(["QUIT"])


def stable(replies: bytes) -> list[bytes]:
    """The replies but HELLO's, which shows the connection's number."""
    split, left = resp.split(replies)
    assert left == b""
    return [reply for reply in split if b"$6\r\nserver\r\n" not in reply]


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Server]:
    """A server on which no earlier client's last commands may still be waiting."""
    with kvcy_server.running() as running:
        yield running


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 5), cuts=st.lists(st.integers(0, 10**9), max_size=40), path=st.sampled_from(["tcp", "unix"]))
def test_a_pipeline_cut_anywhere_is_answered_the_same(
    undisturbed: Server, seed: int, cuts: list[int], path: str
) -> None:
    whole = pipeline(seed)
    with undisturbed.connect() as client:
        client.socket.sendall(whole)
        expected = stable(client.read_all())
    places = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    with undisturbed.connect() if path == "tcp" else undisturbed.connect_unix() as client:
        for start, end in zip(places, places[1:], strict=False):
            client.socket.sendall(whole[start:end])
        assert stable(client.read_all()) == expected
    assert len(expected) > PIPELINE // 2
