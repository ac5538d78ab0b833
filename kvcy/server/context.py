"""What a command answered in Python is given: the server's state and the client that asks.

The native side is seen through Native, which native.pyx implements, so that the commands can be tested without sockets.
Everything here lives in the trio thread.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kvcy.commands.rows import Row
from kvcy.server.data import Data
from kvcy.server.histograms import Histogram
from kvcy.server.logs import Log
from kvcy.server.options import Config


class RowUse(NamedTuple):
    """How a command has been used. usec is measured on a sample of the calls where a call is short."""

    name: str
    calls: int
    usec: float
    rejected: int
    failed: int


class SlowCommand(NamedTuple):
    """An entry of the slow log."""

    number: int
    time_s: int
    duration_us: int
    arguments: Sequence[bytes]
    address: bytes
    name: bytes


class LatencySamples(NamedTuple):
    """Samples of one event, oldest first, as (Unix time in s, latency in ms), and the worst ever."""

    event: str
    samples: Sequence[tuple[int, int]]
    max_ms: int


class Native(Protocol):
    """The engine's and the executors' side of the server."""

    def totals(self) -> dict[str, int]:
        """Counters by name: see native.pyx."""

    def databases(self) -> list[tuple[int, int]]:
        """Keys, and keys that expire, of each database."""

    def uses(self) -> list[RowUse]:
        """The commands that have been called or refused."""

    def errors(self) -> dict[str, int]:
        """Error replies by code."""

    def histograms(self) -> Mapping[str, Histogram]:
        """How long the commands' calls took that were timed."""

    def ordered_indexes(self) -> Mapping[int, tuple[int, int, bool]]:
        """Of each database that has an ordered index: keys in it, bytes, and whether it is complete."""

    def events(self) -> dict[str, int]:
        """How often each keyspace event was raised, while its class was asked for."""

    def reset_statistics(self) -> None: ...

    def slow_commands(self, count: int) -> list[SlowCommand]:
        """The newest entries of the slow log, newest first; a negative count asks for all."""

    def slow_count(self) -> int: ...

    def slow_reset(self) -> None: ...

    def latencies(self) -> list[LatencySamples]:
        """The events that have samples."""

    def latency_reset(self, events: Sequence[str]) -> int:
        """Forgets the samples of these events, of all when none is given; returns how many had some."""

    def entry_text(self, database: int, key: bytes) -> str | None:
        """DEBUG OBJECT's line of a key."""


def resident_bytes() -> int:
    """The process's resident memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class Rates:
    """Commands and bytes a second, from readings taken about every second."""

    def __init__(self) -> None:
        self._readings: list[tuple[float, tuple[int, int, int]]] = []

    def read(self, now_s: float, commands: int, bytes_in: int, bytes_out: int) -> None:
        self._readings = [*self._readings[-1:], (now_s, (commands, bytes_in, bytes_out))]

    def per_second(self) -> tuple[float, float, float]:
        """Between the last two readings; zeros before the second."""
        if len(self._readings) < 2:
            return (0.0, 0.0, 0.0)
        (before_s, before), (after_s, after) = self._readings
        span_s = max(after_s - before_s, 1e-3)
        a, b, c = (max(new - old, 0) / span_s for old, new in zip(before, after, strict=True))
        return (a, b, c)

    def reset(self) -> None:
        self._readings = []


@dataclass
class ServerState:
    """One running server, as its admin commands see it."""

    config: Config
    native: Native
    log: Log
    rows: Sequence[Row]
    shut_down: Callable[[], None]  # asks the server to end in good order; returns at once
    data: Data
    clock: Callable[[], float] = time.time  # Unix time in seconds
    run_id: str = field(default_factory=lambda: secrets.token_hex(20))
    started_s: float = 0.0
    config_path: str = ""
    memory_peak_bytes: int = 0
    memory_start_bytes: int = 0
    resident_start_bytes: int = 0  # the process itself, before any data: the interpreter and its modules
    traffic: Callable[[], tuple[int, int]] = lambda: (0, 0)  # bytes received and sent so far
    _forgotten: dict[str, int] = field(default_factory=dict)  # what CONFIG RESETSTAT took off
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        self.started_s = self.started_s or self.clock()
        self.memory_start_bytes = self.native.totals()["memory_bytes"]
        self.resident_start_bytes = resident_bytes()

    def totals(self) -> dict[str, int]:
        """All counters since the start or the last CONFIG RESETSTAT."""
        totals = self.native.totals()
        totals["bytes_in"], totals["bytes_out"] = self.traffic()
        for name, count in self._forgotten.items():
            totals[name] -= count
        return totals

    def reset_statistics(self) -> None:
        """CONFIG RESETSTAT."""
        self.native.reset_statistics()
        self._forgotten = {}
        totals = self.totals()
        self._forgotten = {name: totals[name] for name in ("bytes_in", "bytes_out", "connections")}
        self.rates.reset()

    def read_rates(self) -> None:
        """Takes a reading for the rates in INFO; called about every second."""
        totals = self.totals()
        self.memory_peak_bytes = max(self.memory_peak_bytes, totals["memory_bytes"])
        self.rates.read(self.clock(), totals["commands"], totals["bytes_in"], totals["bytes_out"])


@dataclass(frozen=True)
class Context:
    """Who asks."""

    server: ServerState
    session_id: int
    database: int
    protocol: int
    local: bool  # comes from this machine
