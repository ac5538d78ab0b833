"""When a busy reactor rests before it waits for the next clients: the rule, with times given by hand, and a reactor."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import resp
from kvcy_server import Client
from running_reactor import TIMEOUT_S, Running

from probes.coalescing_probe import FEWEST_CLIENTS, WINDOW, CoalescingProbe


@pytest.mark.parametrize("clients", [0, 1, FEWEST_CLIENTS - 1])
def test_a_few_clients_are_never_kept_waiting(clients: int) -> None:
    probe = CoalescingProbe()
    for _ in range(5):
        assert probe.pass_window(clients, 100) == 0
        assert not probe.rest(0, 100)


def test_a_reactor_that_has_time_never_rests() -> None:
    probe = CoalescingProbe()
    for _ in range(5):
        assert probe.pass_window(1000, 39) == 0
        assert not probe.rest(0, 100)


@pytest.mark.parametrize("clients", [FEWEST_CLIENTS, 50, 10_000])
def test_a_busy_one_rests_after_turns_that_served_less_than_a_quarter(clients: int) -> None:
    probe = CoalescingProbe()
    enough = probe.pass_window(clients, 40)
    assert enough == clients // 4
    assert probe.rest(0, 1)
    assert probe.rest(enough - 1, 1)
    assert not probe.rest(enough, 1)
    assert not probe.rest(clients, 1)


def test_resting_makes_it_less_busy_without_ending_it() -> None:
    probe = CoalescingProbe()
    assert probe.pass_window(50, 25) == 0
    assert probe.pass_window(50, 60) == 12
    assert probe.pass_window(50, 25) == 12
    assert probe.pass_window(50, 24) == 0
    assert probe.pass_window(50, 25) == 0


def test_clients_that_go_away_end_it() -> None:
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    assert probe.pass_window(FEWEST_CLIENTS - 1, 90) == 0


def test_a_long_sleep_ends_it() -> None:
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    assert probe.pass_window(50, 1, 60_000_000) == 0


def test_zero_us_is_no_rest() -> None:
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    assert not probe.rest(0, 0)
    assert probe.rest(0, 1)


def test_mail_ends_a_rest() -> None:
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    event = os.eventfd(1)
    try:
        # Without the event this would take longer than the test may.
        assert probe.rest(0, 10**9, event)
    finally:
        os.close(event)


# --- where resting is not wanted


@pytest.fixture
def ready() -> Iterator[tuple[int, int]]:
    """An epoll instance, and an event that it waits for."""
    epoll, event = select.epoll(), os.eventfd(0)
    epoll.register(event, select.EPOLLIN)
    yield epoll.fileno(), event
    epoll.close()
    os.close(event)


def test_who_would_rest_polls(ready: tuple[int, int]) -> None:
    epoll, event = ready
    idle = CoalescingProbe()
    assert idle.pass_window(50, 90) == 12
    assert idle.poll(100, epoll) == (0, True)
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    os.eventfd_write(event, 1)
    assert probe.poll(100, epoll) == (1, True)
    assert probe.poll(0, epoll) == (0, False)
    assert probe.pass_window(FEWEST_CLIENTS - 1, 90) == 0
    assert probe.poll(100, epoll) == (0, False)


def test_who_is_not_busy_polls_as_long_as_it_pays(ready: tuple[int, int]) -> None:
    """In each window it may be in vain four times, and once more for each time that it was not."""
    epoll, event = ready
    probe = CoalescingProbe()
    for _ in range(2):
        assert probe.pass_window(FEWEST_CLIENTS, 10) == 0
        os.eventfd_write(event, 1)
        for _ in range(3):
            assert probe.poll(100, epoll) == (1, True)
        os.eventfd_read(event)
        for _ in range(4 + 3):
            assert probe.poll(100, epoll) == (0, True)
        assert probe.poll(100, epoll) == (0, False)
    assert probe.pass_window(FEWEST_CLIENTS - 1, 10) == 0
    assert probe.poll(100, epoll) == (0, False)


def test_it_does_without_where_somebody_else_wants_the_processor(ready: tuple[int, int]) -> None:
    """Giving way to him takes long each time."""
    epoll, _ = ready
    probe = CoalescingProbe()
    assert probe.pass_window(50, 90) == 12
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # on the same processor
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while probe.poll(100, epoll) != (0, False):
            assert time.monotonic() < deadline
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, allowed)


def test_a_clock_that_jumps_back_begins_a_new_window() -> None:
    probe = CoalescingProbe()
    probe.pass_window(50, 90)
    probe.pass_window(0, 0, -5_000_000)
    assert probe.pass_window(50, 20, WINDOW) == 0
    assert probe.pass_window(50, 90, WINDOW) == 12


# --- a reactor that runs


@pytest.fixture
def running() -> Iterator[Running]:
    one = Running()
    yield one
    one.end(now=True)


EXISTS = 4  # commands, each with fewer keys than what goes to another thread
LONG_WORK = resp.encode(("EXISTS", *["counter", "missing"] * 500)) * EXISTS + resp.encode(("INCR", "counter"))


def work(clients: list[Client]) -> None:
    """Has each do something that takes the reactor much longer than sending takes the test; checks the replies."""
    for client in clients:
        client.socket.sendall(LONG_WORK)
    replies = [([client.read() for _ in range(EXISTS)], int(client.read()[1:])) for client in clients]
    counts = sorted(count for _, count in replies)
    assert counts == list(range(counts[0], counts[0] + len(clients)))
    assert all(exist == [b":500\r\n"] * EXISTS for exist, _ in replies)


def test_a_busy_reactor_rests_unless_told_not_to(running: Running) -> None:
    clients = [running.connect() for _ in range(20)]
    assert clients[0].run("SET", "counter", "0") == b"+OK\r\n"
    deadline = time.monotonic() + TIMEOUT_S
    while running.reactor.stats()["rests"] < 10:
        assert time.monotonic() < deadline
        work(clients)
    running.limits.set_wake_coalescing(0)
    work(clients)  # the rest under way is over
    rests = running.reactor.stats()["rests"]
    for _ in range(50):
        work(clients)
    assert running.reactor.stats()["rests"] == rests
    for client in clients:
        client.close()


def test_one_client_is_never_kept_waiting(running: Running) -> None:
    with running.connect() as client:
        assert client.run("SET", "counter", "0") == b"+OK\r\n"
        for _ in range(500):
            work([client])
    assert running.reactor.stats()["rests"] == 0
