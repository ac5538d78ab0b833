"""The reactor by itself: see running_reactor.py."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import resp
from running_reactor import TIMEOUT_S, Running


@pytest.fixture
def running() -> Iterator[Running]:
    one = Running()
    yield one
    one.end(now=True)


def test_answers_commands_of_many_connections(running: Running) -> None:
    clients = [running.connect() for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(("SET", f"key:{number}", str(number)), ("GET", f"key:{number}"))
    for number, client in enumerate(clients):
        assert client.read() == b"+OK\r\n"
        assert client.read() == b"$%d\r\n%d\r\n" % (len(str(number)), number)
    assert running.reactor.connection_count == 50
    for client in clients:
        client.close()


def test_takes_a_command_byte_by_byte(running: Running) -> None:
    with running.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for byte in resp.encode(("ECHO", "x" * 50)) + b"PING\r\n":
            client.socket.sendall(bytes([byte]))
        assert client.read() == b"$50\r\n" + b"x" * 50 + b"\r\n"
        assert client.read() == b"+PONG\r\n"


@pytest.mark.parametrize("cut", [1, 16380, 16385, 70000, 2_000_001])
def test_long_commands_come_in_pieces(running: Running, cut: int) -> None:
    words = ("MSET", *(f"word-{number}-{'x' * 30}" for number in range(100_000)))
    command = resp.encode(words)
    with running.connect() as client, running.connect() as other:
        client.socket.sendall(command[:cut])
        assert other.run("PING") == b"+PONG\r\n"
        client.socket.sendall(command[cut:] + b"PING\r\n")
        running.help()
        assert client.read() == b"+OK\r\n"
        assert client.read() == b"+PONG\r\n"
        assert len(running.store) == 50_000


@pytest.mark.parametrize("size", [32_768, 100_000, 20_000_000])
def test_large_values_come_and_go(running: Running, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    with running.connect() as client:
        client.send(("SET", "large", value), ("STRLEN", "large"), ("GET", "large"), ("MGET", "large", "large"))
        assert client.read() == b"+OK\r\n"
        assert client.read() == b":%d\r\n" % size
        assert client.read() == b"$%d\r\n%b\r\n" % (size, value)
        assert client.read() == b"*2\r\n" + 2 * (b"$%d\r\n%b\r\n" % (size, value))


def test_a_deep_pipeline_is_answered_in_order_beside_others(running: Running) -> None:
    count = 20_000
    with running.connect() as deep, running.connect() as other:
        sender = threading.Thread(target=deep.send, args=[("INCR", "counter")] * count)
        sender.start()
        for _ in range(20):
            assert other.run("PING") == b"+PONG\r\n"
        replies = [deep.read() for _ in range(count)]
        sender.join()
        assert replies == [b":%d\r\n" % number for number in range(1, count + 1)]


def test_a_client_that_reads_late_gets_everything(running: Running) -> None:
    value = "v" * 10_000
    with running.connect(send_buffer_bytes=4096) as client:
        client.send(("SET", "key", value), *[("GET", "key")] * 500, ("PING",))
        assert client.read() == b"+OK\r\n"
        for _ in range(500):
            assert client.read() == b"$10000\r\n" + value.encode() + b"\r\n"
        assert client.read() == b"+PONG\r\n"


def test_a_client_with_much_waiting_is_not_read(running: Running) -> None:
    running.limits.set_pause(100_000, 3600)
    with running.connect(send_buffer_bytes=4096) as client, running.connect() as other:
        other.run("SET", "key", "v" * 1000)
        client.socket.setblocking(False)
        batch = resp.encode(("GET", "key")) * 1000
        sent = 0
        while True:  # ends: the reactor stops reading, so the socket's buffer fills
            _, writable, _ = select.select([], [client.socket], [], 0.5)
            if not writable:
                break
            sent += client.socket.send(batch)
            assert sent < 50_000_000
        assert other.run("PING") == b"+PONG\r\n"
        # Once the client reads, all is answered.
        client.socket.settimeout(TIMEOUT_S)
        count, rest = divmod(sent, len(batch) // 1000)
        client.socket.setblocking(True)
        finish = threading.Thread(
            target=client.socket.sendall,
            args=[(resp.encode(("GET", "key")) + b"PING\r\n")[rest:] if rest else b"PING\r\n"],
        )
        finish.start()
        for _ in range(count + (1 if rest else 0)):
            assert client.read() == b"$1000\r\n" + b"v" * 1000 + b"\r\n"
        assert client.read() == b"+PONG\r\n"
        finish.join()


def test_a_client_that_never_reads_is_closed(running: Running) -> None:
    running.limits.set_pause(100_000, 0)
    with running.connect(send_buffer_bytes=4096) as client, running.connect() as other:
        other.run("SET", "key", "v" * 100_000)
        client.send(*[("GET", "key")] * 20)
        # Two sweeps, a second apart, are waited for: the client sees the end of the connection.
        poll = select.poll()
        poll.register(client.socket, select.POLLHUP)
        assert poll.poll(TIMEOUT_S * 1000)
        assert running.reactor.stats()["closed_by_limit"] == 1
        assert other.run("PING") == b"+PONG\r\n"


def test_the_hard_output_limit_closes(running: Running) -> None:
    running.limits.set_output(1_000_000, 0, 0)
    with running.connect(send_buffer_bytes=4096) as client, running.connect() as other:
        other.run("SET", "key", "v" * 600_000)
        client.send(("GET", "key"), ("GET", "key"), ("GET", "key"))
        assert len(client.read_all()) < 1_900_000
        assert running.reactor.stats()["closed_by_limit"] == 1
        assert other.run("PING") == b"+PONG\r\n"


def test_the_query_limit_closes(running: Running) -> None:
    running.limits.set_query(100_000)
    with running.connect() as client:
        client.socket.sendall(b"*1000000\r\n")
        argument = b"$10\r\n0123456789\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(10_000):
                client.socket.sendall(argument * 100)


def test_idle_clients_are_closed_after_the_timeout(running: Running) -> None:
    running.limits.set_timeout(3600)
    with running.connect() as fresh, running.connect(idle_s=7200) as idle:
        assert idle.read_all() == b""
        assert running.reactor.stats()["closed_by_timeout"] == 1
        assert fresh.run("PING") == b"+PONG\r\n"


def test_a_reset_in_the_middle_of_a_reply_hurts_nobody(running: Running) -> None:
    with running.connect() as other:
        other.run("SET", "key", "v" * 1_000_000)
        for _ in range(20):
            client = running.connect(send_buffer_bytes=4096)
            client.send(*[("GET", "key")] * 5)
            client.socket.recv(100)
            client.close()
        assert other.run("PING") == b"+PONG\r\n"


def test_python_answers_while_the_pipeline_waits(running: Running) -> None:
    with running.connect() as client, running.connect() as other:
        client.send(("SET", "a", "1"), ("CONFIG", "GET", "port"), ("GET", "a"))
        request = running.request()
        assert (request.name, request.args) == ("config|get", [b"CONFIG", b"GET", b"port"])
        assert (request.session.database, request.session.protocol) == (0, 2)
        assert request.session.address == "peer:1"
        assert other.run("SET", "a", "2") == b"+OK\r\n"
        request.reply(b"+answered\r\n")
        assert [client.read() for _ in range(3)] == [b"+OK\r\n", b"+answered\r\n", b"$1\r\n2\r\n"]
        with pytest.raises(RuntimeError):
            request.reply(b"+again\r\n")
        with pytest.raises(RuntimeError):
            _ = request.session.database


def test_a_request_that_is_dropped_is_answered_with_an_error(running: Running) -> None:
    with running.connect() as client:
        client.send(("INFO",))
        running.request()
        assert client.read().startswith(b"-ERR internal error")
        assert client.run("PING") == b"+PONG\r\n"


def test_a_request_may_close_its_connection(running: Running) -> None:
    with running.connect() as client:
        client.send(("PING",), ("SHUTDOWN",), ("PING",))
        running.request().close()
        assert client.read_all() == b"+PONG\r\n"


def test_a_client_may_leave_while_its_command_waits(running: Running) -> None:
    client = running.connect()
    client.send(("INFO",))
    request = running.request()
    client.close()
    with running.connect() as other:
        assert other.run("PING") == b"+PONG\r\n"
        request.reply(b"+late\r\n")
        assert other.run("PING") == b"+PONG\r\n"
    running.end()
    assert running.reactor.connection_count == 0


def test_stop_answers_what_was_received(running: Running) -> None:
    clients = [running.connect() for _ in range(10)]
    for client in clients:
        client.send(*[("INCR", "counter")] * 2000)
        client.socket.sendall(b"*2\r\n$4\r\nECHO\r\n$100\r\nunfinished")
    running.end()
    assert sum(client.read_all().count(b"\r\n") for client in clients) == 20_000
    for client in clients:
        client.close()
    assert running.reactor.finished


def test_stop_waits_for_python(running: Running) -> None:
    with running.connect() as client:
        client.send(("INFO",), ("PING",))
        request = running.request()
        running.reactor.stop()
        request.reply(b"+info\r\n")
        assert client.read_all() == b"+info\r\n+PONG\r\n"
    running.end()


def test_stop_now_leaves_a_waiting_command_behind() -> None:
    running = Running()
    client = running.connect()
    client.send(("INFO",))
    request = running.request()
    running.end(now=True)
    request.reply(b"+too late\r\n")
    del request, running
    with client:
        assert client.read_all() == b""


def test_quit_and_protocol_errors_close_after_the_reply(running: Running) -> None:
    with running.connect() as client:
        client.send(("PING",), ("QUIT",), ("PING",))
        assert client.read_all() == b"+PONG\r\n+OK\r\n"
    with running.connect() as client:
        client.socket.sendall(b"*1\r\n!bad\r\n")
        assert client.read_all() == b"-ERR Protocol error: expected '$', got '!'\r\n"


def test_client_kill_closes_the_other_connection(running: Running) -> None:
    with running.connect() as client, running.connect() as other:
        number = client.run("CLIENT", "ID")[1:-2]
        assert other.run("CLIENT", "KILL", "ID", number) == b":1\r\n"
        assert client.read_all() == b""
        assert other.run("PING") == b"+PONG\r\n"


# --- several reactors


@pytest.fixture
def two() -> Iterator[tuple[Running, Running]]:
    first = Running()
    second = Running(first)
    yield first, second
    first.end()
    second.end()


def await_count(running: Running, count: int) -> None:
    end = time.monotonic() + TIMEOUT_S
    while running.reactor.connection_count != count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_connections_are_given_away_with_their_sessions(two: tuple[Running, Running]) -> None:
    first, second = two
    watching, queueing, named = clients = [first.connect() for _ in range(3)]
    assert watching.run("WATCH", "key") == b"+OK\r\n"
    queueing.send(["MULTI"], ["SET", "key", "queued"])
    assert (queueing.read(), queueing.read()) == (b"+OK\r\n", b"+QUEUED\r\n")
    named.send(["SELECT", "3"], ["HELLO", "3"])
    assert named.read() == b"+OK\r\n"
    named.read()
    first.reactor.give(second.reactor, 3)
    await_count(second, 3)
    await_count(first, 0)
    assert queueing.run("EXEC") == b"*1\r\n+OK\r\n"
    watching.send(["MULTI"], ["GET", "key"], ["EXEC"])
    assert [watching.read() for _ in range(3)] == [b"+OK\r\n", b"+QUEUED\r\n", b"*-1\r\n"]
    assert named.run("GET", "key") == b"_\r\n"
    for client in clients:
        client.close()
    await_count(second, 0)


def test_only_what_has_nothing_under_way_is_given(two: tuple[Running, Running]) -> None:
    first, second = two
    idle, half, parked, free = (first.connect(idle_s=60), first.connect(), first.connect(), first.connect())
    half.socket.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\n")
    parked.send(["INFO"])
    request = first.request()
    assert free.run("PING") == b"+PONG\r\n"
    first.reactor.give(second.reactor, 10)
    await_count(second, 1)
    await_count(first, 3)
    half.socket.sendall(b"key\r\n")
    assert half.read() == b"$-1\r\n"
    request.reply(b"+later\r\n")
    assert parked.read() == b"+later\r\n"
    assert idle.run("PING") == free.run("PING") == b"+PONG\r\n"
    for client in (idle, half, parked, free):
        client.close()


def test_nobody_notices_being_given_to_and_fro(two: tuple[Running, Running]) -> None:
    clients = [two[number % 2].connect() for number in range(6)]
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            two[0].reactor.give(two[1].reactor, 2)
            two[1].reactor.give(two[0].reactor, 2)
            time.sleep(0.0005)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for turn in range(300):
            for number, client in enumerate(clients):
                client.send(*(["INCR", f"{number}:{turn % 7}"] for _ in range(turn % 40 + 1)), ["ECHO", f"{turn}"])
            for client in clients:
                replies = [int(client.read()[1:]) for _ in range(turn % 40 + 1)]
                assert replies == list(range(replies[0], replies[0] + len(replies)))
                assert client.read() == b"$%d\r\n%d\r\n" % (len(str(turn)), turn)
    finally:
        ended.set()
        swapping.join()
    for client in clients:
        client.close()
    await_count(two[0], 0)
    await_count(two[1], 0)


def test_a_reactor_that_is_to_stop_is_given_nothing() -> None:
    first = Running()
    second = Running(first)
    with first.connect() as client:
        assert client.run("PING") == b"+PONG\r\n"
        second.end()
        first.reactor.give(second.reactor, 1)
        assert client.run("PING") == b"+PONG\r\n"
        assert (first.reactor.connection_count, second.reactor.connection_count) == (1, 0)
    first.end()


def test_cpu_time_is_that_of_the_thread(two: tuple[Running, Running]) -> None:
    with two[0].connect() as client:
        client.send(*(["SET", f"key:{number}", "v"] for number in range(2000)))
        for _ in range(2000):
            client.read()
    assert 0 < two[1].reactor.cpu_ns < two[0].reactor.cpu_ns
