"""A server's native side made of plain values, for testing the commands answered in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import trio

from kvcy.commands.rows import Row
from kvcy.server.admin import run
from kvcy.server.context import Context, LatencySamples, RowUse, ServerState, SlowCommand
from kvcy.server.data import Data
from kvcy.server.logs import Log
from kvcy.server.options import Config, Options
from kvcy.server.replies import Reply

TOTALS = (
    "clients clients_bytes connections rejected_connections commands errors auth_failures"
    " input_bytes_max output_bytes_max memory_bytes taken_bytes changes evicted_keys hits misses"
    " expired_keys expire_lag_ms_max expire_lag_ms_last expire_cycle_ms evicted_clients"
)


@dataclass
class FakeNative:
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS.split(), 0))
    keys: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 16)
    used: list[RowUse] = field(default_factory=list)
    slow: list[SlowCommand] = field(default_factory=list)
    series: list[LatencySamples] = field(default_factory=list)
    entries: dict[tuple[int, bytes], str] = field(default_factory=dict)
    timed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    resets: int = 0

    def totals(self) -> dict[str, int]:
        return dict(self.values)

    def databases(self) -> list[tuple[int, int]]:
        return self.keys

    def uses(self) -> list[RowUse]:
        return self.used

    def errors(self) -> dict[str, int]:
        return {"ERR": 3, "WRONGTYPE": 1}

    def histograms(self) -> dict[str, list[tuple[int, int]]]:
        return self.timed

    def ordered_indexes(self) -> dict[int, tuple[int, int, bool]]:
        return {3: (10, 2048, False)}

    def events(self) -> dict[str, int]:
        return {"set": 2, "expire": 1}

    def reset_statistics(self) -> None:
        self.resets += 1

    def slow_commands(self, count: int) -> list[SlowCommand]:
        return self.slow if count < 0 else self.slow[:count]

    def slow_count(self) -> int:
        return len(self.slow)

    def slow_reset(self) -> None:
        self.slow = []

    def latencies(self) -> list[LatencySamples]:
        return self.series

    def latency_reset(self, events: Sequence[str]) -> int:
        before = len(self.series)
        self.series = [one for one in self.series if events and one.event not in events]
        return before - len(self.series)

    def entry_text(self, database: int, key: bytes) -> str | None:
        return self.entries.get((database, key))


class Admin:
    """Runs commands as a client would, at a fixed time."""

    def __init__(self, options: Options | None = None, rows: Sequence[Row] = (), path: str | None = None) -> None:
        self.native = FakeNative()
        self.config = Config(options, path)
        self.stops = 0
        self.now_s = 1_700_000_000.0
        self.local = True
        self.protocol = 3
        log = Log("/dev/null")
        data = Data(replace(self.config.options, appendonly=False), log)
        data.load()
        data.loaded()
        self.state = ServerState(
            self.config, self.native, log, rows, self._stop, data,
            clock=lambda: self.now_s, run_id="a" * 40,
        )  # fmt: skip

    def _stop(self) -> None:
        self.stops += 1

    def __call__(self, name: str, *args: str | bytes) -> Reply:
        """`name` is the row's full name."""
        words = [arg if isinstance(arg, bytes) else arg.encode() for arg in args]
        context = Context(self.state, 1, 0, self.protocol, self.local)
        argv = [*(part.encode() for part in name.split("|")), *words]

        async def main() -> Reply:
            return await run(context, name, argv)

        return trio.run(main)
