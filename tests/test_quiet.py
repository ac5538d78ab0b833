"""engine/quiet.pyx: what is retired is freed when every thread inside has passed, and not before."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from probes import quiet_probe as quiet


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    while quiet.reclaim():
        pass
    quiet.take_freed()
    yield
    while quiet.reclaim():
        pass
    assert quiet.waiting() == 0


@pytest.fixture
def thread() -> Iterator[int]:
    number = quiet.register()
    yield number
    quiet.unregister(number)


def test_nobody_inside(thread: int) -> None:
    assert quiet.retire(10, 5) and quiet.retire(20)
    assert quiet.waiting() == 2 and quiet.take_freed() == []
    assert quiet.reclaim() == 2
    assert quiet.take_freed() == [15, 20] and quiet.waiting() == 0
    assert quiet.reclaim() == 0


def test_waits_for_who_is_inside(thread: int) -> None:
    quiet.enter(thread)
    quiet.retire(1)
    assert quiet.reclaim() == 0 and quiet.take_freed() == []
    quiet.pass_(thread)
    quiet.retire(2)
    assert quiet.reclaim() == 1 and quiet.take_freed() == [1]
    quiet.leave(thread)
    assert quiet.reclaim() == 1 and quiet.take_freed() == [2]


def test_who_enters_afterwards_is_not_waited_for(thread: int) -> None:
    quiet.retire(1)
    quiet.enter(thread)
    assert quiet.reclaim() == 1
    quiet.leave(thread)


def test_waits_for_the_slowest() -> None:
    threads = [quiet.register() for _ in range(5)]
    for thread in threads:
        quiet.enter(thread)
    quiet.retire_noted(0, 1)
    for thread in threads:
        assert quiet.reclaim() == 0
        quiet.pass_(thread)
    assert quiet.reclaim() == 1
    quiet.retire_noted(0, 2)
    quiet.unregister(threads.pop())
    for thread in threads:
        assert quiet.reclaim() == 0
        quiet.unregister(thread)
    assert quiet.reclaim() == 1


def test_in_portions() -> None:
    for number in range(10):
        quiet.retire_noted(number, number)
    assert quiet.reclaim(0) == 0
    assert quiet.reclaim(3) == 3 and quiet.waiting() == 7
    assert quiet.reclaim(100) == 7
    assert quiet.take_freed() == list(range(10))


def test_retiring_an_array_frees_earlier_ones(thread: int) -> None:
    quiet.retire_array(0, 1)
    assert quiet.take_freed() == [1] and quiet.waiting() == 0
    quiet.enter(thread)
    quiet.retire_noted(10, 100)
    for number in range(2, 7):
        quiet.retire_array(number, number)
    assert quiet.take_freed() == [] and quiet.waiting() == 6
    quiet.pass_(thread)
    quiet.retire_array(7, 7)
    assert quiet.take_freed() == [2, 3]
    quiet.leave(thread)
    quiet.retire_array(8, 8)
    assert quiet.take_freed() == [4, 5]
    assert quiet.reclaim(2) == 2 and quiet.take_freed() == [6, 7]
    assert quiet.reclaim() == 2 and quiet.take_freed() == [8, 100]


def test_too_many_threads() -> None:
    gc.collect()  # servers of other tests are registered as long as they live
    threads = [quiet.register() for _ in range(quiet.THREADS_MAX)]
    try:
        assert quiet.register() == -1
        assert sorted(threads) == list(range(quiet.THREADS_MAX))
    finally:
        for thread in threads:
            quiet.unregister(thread)
    thread = quiet.register()
    assert thread == 0
    quiet.unregister(thread)


def test_without_memory_for_the_note_nothing_is_freed() -> None:
    quiet.fail_after(0)
    try:
        assert not quiet.retire(1)
        quiet.retire_noted(1, 2)
    finally:
        quiet.fail_never()
    assert quiet.reclaim() == 1 and quiet.take_freed() == [2]


def test_readers_never_see_what_was_freed() -> None:
    quiet.start_reading()
    numbers = [quiet.register() for _ in range(3)]
    dead: list[int] = []
    readers = [threading.Thread(target=lambda n=n: dead.append(quiet.read(n, 100_000))) for n in numbers]
    for reader in readers:
        reader.start()
    reclaimed = 0
    while any(reader.is_alive() for reader in readers):
        reclaimed += quiet.replace(1000)
    for reader in readers:
        reader.join()
    for number in numbers:
        quiet.unregister(number)
    assert dead == [0, 0, 0]
    assert reclaimed + quiet.replace(10) > 0
