"""What clients' buffers take: it counts in used_memory and against maxmemory, and maxmemory-clients bounds it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import kvcy_server
import pytest
import redis
import resp

LIMIT = 8_000_000
VALUE = bytes(8000)  # copied into replies; larger values are sent from where they are
REPLIES = 1500  # 12 MB, far more than sockets hold
LISTINGS = 3000


@pytest.fixture(scope="module")
def server() -> Iterator[kvcy_server.Server]:
    with kvcy_server.running("--appendonly", "no", "--save", "") as one:
        yield one


@pytest.fixture
def client(server: kvcy_server.Server) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as one:
        for option, value in (("maxmemory", 0), ("maxmemory-clients", 0), ("maxmemory-policy", "noeviction")):
            one.config_set(option, value)
        one.flushall()
        one.config_resetstat()
        one.set("value", VALUE)
        await_that(lambda: taken(one) < 200_000 and data(one) < 1_000_000)  # others are gone, and what they set
        yield one


@pytest.fixture(params=["tcp", "unix"])
def silent(server: kvcy_server.Server, request: pytest.FixtureRequest) -> Iterator[kvcy_server.Client]:
    """A client that will not read."""
    with server.connect() if request.param == "tcp" else server.connect_unix() as one:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        yield one


def await_that(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + kvcy_server.TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline


def memory(client: redis.Redis, field: str) -> int:
    return int(client.info("memory")[field])


def taken(client: redis.Redis) -> int:
    return memory(client, "mem_clients_normal")


def data(client: redis.Redis) -> int:
    found = client.info("memory")
    return int(found["used_memory"]) - int(found["mem_clients_normal"])


def ask(silent: kvcy_server.Client, replies: int = REPLIES) -> None:
    silent.send(*[["GET", "value"]] * replies)


def test_replies_that_nobody_reads_are_counted(client: redis.Redis, silent: kvcy_server.Client) -> None:
    before = memory(client, "used_memory")
    ask(silent)
    await_that(lambda: taken(client) > 5_000_000)
    assert memory(client, "used_memory") - before > 5_000_000
    for _ in range(REPLIES):
        assert silent.read().endswith(VALUE + b"\r\n")
    await_that(lambda: taken(client) < 200_000)


def test_they_are_gone_with_the_client(client: redis.Redis, silent: kvcy_server.Client) -> None:
    ask(silent)
    await_that(lambda: taken(client) > 5_000_000)
    silent.close()
    await_that(lambda: taken(client) < 200_000)


def test_an_unfinished_command_is_counted(client: redis.Redis, silent: kvcy_server.Client) -> None:
    command = resp.encode(["DEL", *[bytes(500)] * 4000])
    silent.socket.sendall(command[:-1])
    await_that(lambda: taken(client) > len(command))
    assert taken(client) < 3 * len(command)
    silent.socket.sendall(command[-1:])
    assert silent.read() == b":0\r\n"
    await_that(lambda: taken(client) < 200_000)


def test_what_a_long_command_took_is_not_counted_when_it_was_refused(
    client: redis.Redis, silent: kvcy_server.Client
) -> None:
    command = resp.encode(["NONSENSE", *[bytes(100)] * 20_000])
    silent.socket.sendall(command[:-1])
    await_that(lambda: taken(client) > len(command))
    silent.socket.sendall(command[-1:])
    assert silent.read().startswith(b"-ERR unknown command")
    assert taken(client) < 200_000


def test_an_unfinished_command_is_gone_with_the_client(client: redis.Redis, silent: kvcy_server.Client) -> None:
    command = resp.encode(["MSET", *[bytes(100)] * 200_000, bytes(100_000), bytes(100_000)])
    silent.socket.sendall(command[:-1])
    await_that(lambda: taken(client) > 20_000_000)
    silent.close()
    await_that(lambda: taken(client) < 200_000)


def test_a_client_that_does_not_read_has_no_more_than_half_evicted(
    client: redis.Redis, silent: kvcy_server.Client
) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", LIMIT)
    pipeline = client.pipeline(transaction=False)
    for number in range(3 * LIMIT // 1000):
        pipeline.set(f"key:{number}", bytes(1000))
    pipeline.execute()
    client.set("value", VALUE)
    assert data(client) > LIMIT * 0.85
    ask(silent)
    await_that(lambda: taken(client) > LIMIT // 2 + 1_000_000)
    await_that(lambda: data(client) <= LIMIT // 2)
    assert client.set("more", VALUE)
    assert data(client) > LIMIT * 0.42
    assert memory(client, "mem_not_counted_for_evict") > 1_000_000
    silent.close()
    await_that(lambda: taken(client) < 200_000)
    assert memory(client, "mem_not_counted_for_evict") == 0
    pipeline.reset()
    for number in range(LIMIT // 1000):
        pipeline.set(f"again:{number}", bytes(1000))
    pipeline.execute()
    assert data(client) > LIMIT * 0.85


def test_writes_are_refused_when_nothing_may_be_evicted(client: redis.Redis, silent: kvcy_server.Client) -> None:
    client.set("large", bytes(LIMIT * 5 // 8))
    client.config_set("maxmemory", LIMIT)
    assert client.set("a", "b")
    ask(silent)
    await_that(lambda: taken(client) > LIMIT // 2)
    with pytest.raises(redis.ResponseError, match="command not allowed when used memory > 'maxmemory'"):
        client.set("a", "c")
    silent.close()
    await_that(lambda: taken(client) < 200_000)
    assert client.set("a", "d")


def test_maxmemory_clients_closes_who_takes_the_most(client: redis.Redis, silent: kvcy_server.Client) -> None:
    client.config_set("maxmemory-clients", "4mb")
    ask(silent)
    await_that(lambda: client.info("stats")["evicted_clients"] == 1)
    await_that(lambda: taken(client) < 200_000)
    silent.read_all()  # the end
    assert client.ping()


def test_a_lower_limit_closes_at_once_a_share_of_maxmemory(client: redis.Redis, silent: kvcy_server.Client) -> None:
    ask(silent)
    await_that(lambda: taken(client) > 5_000_000)
    client.config_set("maxmemory-clients", "5%")  # of no limit: none
    assert client.info("stats")["evicted_clients"] == 0
    client.config_set("maxmemory", 10 * LIMIT)
    await_that(lambda: client.info("stats")["evicted_clients"] == 1)
    await_that(lambda: taken(client) < 200_000)


def test_no_evict_exempts(server: kvcy_server.Server, client: redis.Redis, silent: kvcy_server.Client) -> None:
    assert silent.run("CLIENT", "NO-EVICT", "ON") == b"+OK\r\n"
    ask(silent)
    await_that(lambda: taken(client) > 5_000_000)
    client.config_set("maxmemory-clients", "4mb")
    assert server.run("PING") == b"+PONG\r\n"
    assert client.info("stats")["evicted_clients"] == 0
    for _ in range(REPLIES):
        assert silent.read().endswith(VALUE + b"\r\n")


def test_clients_are_listed_while_what_they_send_arrives(server: kvcy_server.Server, client: redis.Redis) -> None:
    """Who lists them is another thread than those whose blocks grow, and so move, as the values arrive."""
    ends = threading.Event()

    def send(one: kvcy_server.Client, number: int) -> None:
        with one:
            while not ends.is_set():
                one.send([b"SET", b"large:%d" % number, bytes(1 << 20)], [b"NONSENSE"])
                assert one.read() == b"+OK\r\n"
                assert one.read().startswith(b"-ERR unknown command")

    def show(one: kvcy_server.Client) -> None:
        with one:
            for _ in range(LISTINGS):
                assert b"tot-mem=" in one.run(b"CLIENT", b"LIST")

    senders = [threading.Thread(target=send, args=(server.connect(), number)) for number in range(4)]
    readers = [threading.Thread(target=show, args=(one(),)) for one in (server.connect, server.connect_unix)]
    for thread in senders + readers:
        thread.start()
    for thread in readers:
        thread.join()
    ends.set()
    for thread in senders:
        thread.join()
    assert server.process.poll() is None
