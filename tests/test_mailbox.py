"""Mailboxes between threads: nothing is lost, each poster's mail keeps its order, the taker is woken."""

from __future__ import annotations

import select
import threading

from probes.mailbox_probe import MailboxProbe

TIMEOUT_S = 60


def readable(mailbox: MailboxProbe, timeout_s: float = 0) -> bool:
    return bool(select.select([mailbox.fd], [], [], timeout_s)[0])


def test_takes_in_the_order_of_posting() -> None:
    mailbox = MailboxProbe(10)
    assert not readable(mailbox)
    assert mailbox.take() == []
    mailbox.post(0, 3)
    mailbox.post(3, 2)
    assert readable(mailbox)
    assert mailbox.take() == [0, 1, 2, 3, 4]
    assert not readable(mailbox)
    assert mailbox.take() == []
    mailbox.post(5, 1)
    assert readable(mailbox)
    assert mailbox.take() == [5]


def test_wakes_without_mail() -> None:
    mailbox = MailboxProbe(1)
    mailbox.wake()
    assert readable(mailbox)
    assert mailbox.take() == []
    assert not readable(mailbox)


def test_many_post_and_one_takes() -> None:
    posters, each = 4, 50_000
    mailbox = MailboxProbe(posters * each)
    threads = [threading.Thread(target=mailbox.post, args=(number * each, each)) for number in range(posters)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while len(taken) < posters * each:
        assert readable(mailbox, TIMEOUT_S)
        taken += mailbox.take()
    for thread in threads:
        thread.join()
    for number in range(posters):
        own = [one for one in taken if one // each == number]
        assert own == list(range(number * each, (number + 1) * each))
