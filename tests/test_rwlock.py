"""engine/rwlock.pyx: exclusion, and who comes in after whom. The threads' orders are made by the lock's own word."""

from __future__ import annotations

import threading
from collections.abc import Callable

from probes.rwlock_probe import LockProbe

WRITER, WAITING, READERS = 1 << 31, 1 << 30, (1 << 29) - 1


def started(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do, and must: the word is all there is to see of it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.0005)


def test_exclusion() -> None:
    lock = LockProbe()
    lock.read()
    lock.read()
    assert lock.word & READERS == 2
    assert not lock.try_write()
    assert lock.try_read() and lock.word & READERS == 3
    lock.read_done()
    lock.read_done()
    assert not lock.try_write()
    lock.read_done()
    assert lock.try_write() and lock.word & WRITER
    assert not lock.try_write() and not lock.try_read()
    lock.write_done()
    lock.write()
    assert not lock.try_read()
    lock.write_done()
    assert lock.word & (WRITER | WAITING | READERS) == 0


def test_a_waiting_writer_stops_new_readers() -> None:
    lock = LockProbe()
    lock.read()
    writer = started(lock.write)
    until(lambda: lock.word & WAITING)
    assert not lock.try_read() and not lock.try_write()
    reader = started(lock.read)
    lock.read_done()
    writer.join()
    assert reader.is_alive()
    lock.write_done()
    reader.join()
    lock.read_done()
    assert lock.word & (WRITER | WAITING | READERS) == 0


def test_readers_that_waited_come_before_the_next_writer() -> None:
    lock = LockProbe()
    lock.write()
    writer = started(lock.write)
    until(lambda: lock.word & WAITING)
    readers = [started(lock.read) for _ in range(3)]
    until(lambda: lock.word & READERS == 3)
    lock.write_done()
    for reader in readers:
        reader.join()
    assert writer.is_alive()
    for _ in readers:
        lock.read_done()
    writer.join()
    lock.write_done()


def test_a_reader_stopped_by_one_writer_comes_before_the_second() -> None:
    lock = LockProbe()
    lock.read()
    order: list[str] = []
    may_leave = threading.Event()

    def write() -> None:
        lock.write()
        may_leave.wait()
        order.append("writer")
        lock.write_done()

    def read() -> None:
        lock.read()
        order.append("reader")
        lock.read_done()

    first = started(write)
    until(lambda: lock.word & WAITING)
    reader = started(read)
    lock.read_done()
    until(lambda: lock.word & WRITER and lock.word & READERS)
    second = started(write)
    until(lambda: lock.word & WAITING)
    may_leave.set()
    for thread in (first, reader, second):
        thread.join()
    assert order == ["writer", "reader", "writer"]


def test_nothing_is_torn_or_lost() -> None:
    lock = LockProbe()
    torn: list[int] = []
    jobs = [lambda: lock.turns("read", 30_000)] * 2 + [lambda: lock.turns("write", 10_000)] * 2
    jobs += [lambda: lock.turns("leaf", 30_000)] * 2
    threads = [started(lambda job=job: torn.append(job())) for job in jobs]
    for thread in threads:
        thread.join()
    assert torn == [0] * 6
    assert lock.counts == (20_000, 20_000, 60_000, 60_000)
    assert lock.word & (WRITER | WAITING | READERS) == 0
