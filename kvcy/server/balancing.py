"""Keeps several reactors about equally busy: a task that lets the busiest give connections to the least busy.

A new connection goes to the reactor that has fewest. That says nothing of how much each of them will ask, so the CPU
time of the reactors' threads is looked at four times a second. When one has hardly slept and another has much time
left, an eighth of its connections, of those that were active lately, move there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import trio

from kvcy.server.reactor import Reactor

PERIOD_S = 0.25
OVERLOADED = 0.9  # of a processor
GAP = 0.3
PART = 8


class Load(NamedTuple):
    """Of a reactor, over a period."""

    share: float  # of a processor's time
    connections: int


class Move(NamedTuple):
    """So many connections of one reactor are to go to another; reactors are numbers."""

    source: int
    target: int
    connections: int


def choose(loads: Sequence[Load]) -> Move | None:
    """What is to be moved, if anything."""
    numbers = range(len(loads))
    source = max(numbers, key=lambda number: loads[number].share)
    target = min(numbers, key=lambda number: loads[number].share)
    most, least = loads[source], loads[target]
    if most.share < OVERLOADED or most.share - least.share < GAP or most.connections < 2:
        return None
    return Move(source, target, max(1, most.connections // PART))


async def balance(reactors: Sequence[Reactor]) -> None:
    """Moves connections for ever."""
    began = time.monotonic()
    before = [reactor.cpu_ns for reactor in reactors]
    while True:
        await trio.sleep(PERIOD_S)
        now = time.monotonic()
        spent = [reactor.cpu_ns for reactor in reactors]
        loads = [
            Load((after - earlier) / 1e9 / (now - began), reactor.connection_count)
            for after, earlier, reactor in zip(spent, before, reactors, strict=True)
        ]
        if move := choose(loads):
            reactors[move.source].give(reactors[move.target], move.connections)
        began, before = now, spent
