"""Histories of concurrent clients, recorded from a true server.

One thread drives all connections: each that has its reply gets its next command at once, so that as many operations are
under way on the server as there are connections, and a moment before a command is sent and one after its reply was read
are known in one order.
"""

from __future__ import annotations

import itertools
import selectors
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from kvcy_server import Client
from linearizability import CROWD, KEYS, POSITIONS, SAMPLE, Command, Operation

MEMBERS = {name: [b"crowd:%d" % position for position in positions] for name, positions in POSITIONS.items()}


def commands(random: Random, values: Iterator[int]) -> tuple[Command, ...]:
    """One command, or those of a transaction. Values are all different, and numbers."""
    if random.random() < 0.15:
        return tuple(command(random, values) for _ in range(random.randint(1, 3)))
    return (command(random, values),)


def command(random: Random, values: Iterator[int]) -> Command:
    first, second = random.sample(KEYS, 2)
    value, other = b"%d" % next(values), b"%d" % next(values)
    if random.random() < 0.2:
        return random.choice(
            [
                (b"MGET", first, CROWD, second),
                (b"MSET", first, value, CROWD, value, second, other),
                (b"MSET", CROWD, value),
                (b"DEL", CROWD, first),
                (b"MGET", SAMPLE, first),
                (b"MGET", first, SAMPLE),
                (b"DEL", first, SAMPLE),
            ]
        )
    return random.choice(
        [
            (b"GET", first),
            (b"GET", first),
            (b"MGET", first, second),
            (b"MGET", *KEYS),
            (b"SET", first, value),
            (b"SET", first, value),
            (b"GETSET", first, value),
            (b"INCR", first),
            (b"MSET", first, value, second, other),
            (b"DEL", first, second),
            (b"RENAME", first, second),
        ]
    )


def words(command: Command) -> Command:
    """The command as it is sent: with the keys that its names stand for."""
    step = 2 if command[0] == b"MSET" else 1  # a value follows each key
    sent = [command[0]]
    for at in range(1, len(command), step):
        for key in MEMBERS.get(command[at], command[at : at + 1]):
            sent += [key, *command[at + 1 : at + step]]
    return tuple(sent)


@dataclass(eq=False)
class Driver:
    """A connection, and how far it is with its operation."""

    client: Client
    random: Random
    commands: tuple[Command, ...] = ()
    transaction: bool = False
    begin: int | None = None  # None: nothing is under way
    expected: bytes | None = None
    watching: bool = False
    replies_due: int = 0

    def start(self, begin: int, values: Iterator[int]) -> None:
        self.commands = commands(self.random, values)
        self.transaction = len(self.commands) > 1
        self.begin, self.expected = begin, None
        if not self.transaction and self.random.random() < 0.1:
            # Read, then write if nobody else has written.
            key = self.random.choice([*KEYS, CROWD])
            self.commands = ((b"MSET", key, b"%d" % next(values)),)
            self.transaction = self.watching = True
            self._send((b"WATCH", key), (b"MGET", key))
        elif self.transaction:
            self._send((b"MULTI",), *self.commands, (b"EXEC",))
        else:
            self._send(*self.commands)

    def _send(self, *sent: Command) -> None:
        self.replies_due = len(sent)
        self.client.send(*map(words, sent))

    def receive(self) -> bytes | None:
        """Reads what has come; the reply that ends the operation, or None: it goes on. ConnectionError as Client."""
        reply = self.client.read()
        for _ in range(self.replies_due - 1):
            reply = self.client.read()
        if not self.watching:
            return reply
        self.watching, self.expected = False, reply
        self._send((b"MULTI",), *self.commands, (b"EXEC",))
        return None

    def operation(self, end: int, reply: bytes | None) -> Operation:
        assert self.begin is not None
        return Operation(self.commands, self.begin, end, reply, self.transaction, self.expected)


@dataclass
class Recorder:
    """Records the operations of a history, over as many lives of the server as there are calls of `drive`."""

    seed: int
    history: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._moments = itertools.count()
        self._values = itertools.count(1000, 1000)
        self._unknown: list[Driver] = []

    def drive(
        self, clients: Sequence[Client], count: int, at: Mapping[int, Callable[[], object]] | None = None
    ) -> None:
        """Lets the clients do `count` operations together, or until the server is gone.

        `at`: what is to be done when so many operations have begun.
        """
        drivers = [Driver(client, Random(self._random.random())) for client in clients]
        self._unknown.clear()
        idle, begun = list(drivers), 0
        with selectors.DefaultSelector() as selector:
            for driver in drivers:
                selector.register(driver.client.socket, selectors.EVENT_READ, driver)
            while selector.get_map():
                while idle and begun < count:
                    self._start(idle.pop(self._random.randrange(len(idle))), selector)
                    begun += 1
                    if at and begun in at:
                        at[begun]()
                if len(idle) == len(selector.get_map()):
                    break
                for key, _ in selector.select():
                    self._receive(key.data, idle, selector)

        died = next(self._moments)  # if it did
        self.history += [driver.operation(died, None) for driver in self._unknown]

    def _start(self, driver: Driver, selector: selectors.BaseSelector) -> None:
        try:
            driver.start(next(self._moments), self._values)
        except ConnectionError:
            self._lost(driver, selector)

    def _receive(self, driver: Driver, idle: list[Driver], selector: selectors.BaseSelector) -> None:
        try:
            reply = driver.receive()
        except ConnectionError:
            self._lost(driver, selector)
            if driver in idle:
                idle.remove(driver)
            return
        if reply is not None:
            self.history.append(driver.operation(next(self._moments), reply))
            driver.begin = None
            idle.append(driver)

    def _lost(self, driver: Driver, selector: selectors.BaseSelector) -> None:
        """The server is gone: nobody knows what has become of the operation under way, if it was to change anything."""
        selector.unregister(driver.client.socket)
        if driver.begin is not None and not driver.watching:
            self._unknown.append(driver)
