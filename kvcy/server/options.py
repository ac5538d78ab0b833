"""The server's options: one row each with name, kind, default and whether CONFIG SET may change it.

The rows are the fields of the dataclass Options, so code reads `options.tcp_backlog` with its type. An option's name is
its field's with hyphens. Values come from a configuration file and the command line (config_file.py), then from CONFIG
SET. What must happen when a value changes is registered with `on_change` by whoever uses the value.
Redis's option names that kvcy lacks are in redis_options.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from kvcy.engine.eviction import POLICIES
from kvcy.server.limits import WAKE_COALESCING_US
from kvcy.server.redis_options import ALIASES, NOT_YET, WITHOUT_EFFECT
from kvcy.server.values import (
    INT64_MAX,
    SAVE_POINTS,
    Clamped,
    EventClasses,
    Integer,
    Kind,
    Memory,
    MemoryOrShare,
    Octal,
    OneOf,
    OutputLimits,
    OutputLimitsKind,
    Percentiles,
    SavePoint,
    SavePoints,
    Text,
    Words,
    YesNo,
)

INT_MAX = 2**31 - 1
MIB = 1024**2
OUTPUT_LIMITS_KIND = OutputLimitsKind()
OUTPUT_LIMITS = OutputLimits()


def option(kind: Kind[Any], default: Any, *, mutable: bool = True, protected: bool = False) -> Any:
    """A row of the table. protected: CONFIG SET needs enable-protected-configs."""
    row = {"kind": kind, "mutable": mutable, "protected": protected}
    return field(default=default, metadata=row)


@dataclass
class Options:
    """All options that exist, at their defaults."""

    # --- where it listens
    bind: tuple[str, ...] = option(Words(), ("127.0.0.1", "-::1"), mutable=False)
    port: int = option(Integer(0, 65535), 6379, mutable=False)
    unixsocket: str = option(Text(), "", mutable=False)
    unixsocketperm: int = option(Octal(), 0, mutable=False)
    tcp_backlog: int = option(Integer(0, INT_MAX), 511, mutable=False)
    protected_mode: bool = option(YesNo(), True)
    # --- clients
    maxclients: int = option(Integer(1, 2**32 - 1), 10000)
    timeout: int = option(Integer(0, INT_MAX), 0)
    tcp_keepalive: int = option(Integer(0, INT_MAX), 300)
    io_threads: int = option(Integer(1, 128), 1, mutable=False)
    wake_coalescing_us: int = option(Integer(0, 10000), WAKE_COALESCING_US)
    client_output_buffer_limit: OutputLimits = option(OUTPUT_LIMITS_KIND, OUTPUT_LIMITS)
    client_query_buffer_limit: int = option(Memory(MIB, INT64_MAX), 1024 * MIB)
    proto_max_bulk_len: int = option(Memory(MIB, INT64_MAX), 512 * MIB)
    # --- access
    requirepass: str = option(Text(), "")
    enable_debug_command: str = option(OneOf(("no", "yes", "local")), "no", mutable=False)
    enable_protected_configs: str = option(OneOf(("no", "yes", "local")), "no", mutable=False)
    # --- data
    databases: int = option(Integer(1, 16), 16, mutable=False)
    maxmemory: int = option(Memory(0, 2**64 - 1), 0)
    maxmemory_policy: str = option(OneOf((*POLICIES[1:], POLICIES[0])), "noeviction")
    maxmemory_samples: int = option(Integer(1, INT_MAX), 5)
    maxmemory_eviction_tenacity: int = option(Integer(0, 100), 10)
    lfu_log_factor: int = option(Integer(0, INT_MAX), 10)
    lfu_decay_time: int = option(Integer(0, INT_MAX), 1)
    maxmemory_clients: int = option(MemoryOrShare(), 0)
    notify_keyspace_events: int = option(EventClasses(), 0)
    ordered_index: bool = option(YesNo(), False)
    lazyfree_lazy_eviction: bool = option(YesNo(), False)
    lazyfree_lazy_expire: bool = option(YesNo(), False)
    lazyfree_lazy_server_del: bool = option(YesNo(), False)
    lazyfree_lazy_user_del: bool = option(YesNo(), False)
    lazyfree_lazy_user_flush: bool = option(YesNo(), False)
    # --- files and the process
    dir: str = option(Text(), ".", protected=True)
    logfile: str = option(Text(), "", mutable=False)
    loglevel: str = option(OneOf(("debug", "verbose", "notice", "warning", "nothing")), "notice")
    daemonize: bool = option(YesNo(), False, mutable=False)
    supervised: str = option(OneOf(("no", "systemd", "upstart", "auto")), "no", mutable=False)
    pidfile: str = option(Text(), "", mutable=False)
    hz: int = option(Clamped(1, 500), 10)
    shutdown_timeout: int = option(Integer(0, INT_MAX), 10)
    # --- persistence
    save: tuple[SavePoint, ...] = option(SavePoints(), SAVE_POINTS)
    stop_writes_on_bgsave_error: bool = option(YesNo(), True)
    snapshot_method: str = option(OneOf(("auto", "fork", "thread")), "auto")
    appendonly: bool = option(YesNo(), True, mutable=False)
    appendfsync: str = option(OneOf(("always", "everysec", "no")), "everysec")
    wal_keep: int = option(Memory(0, INT64_MAX), 0)
    auto_aof_rewrite_percentage: int = option(Integer(0, INT_MAX), 100)
    auto_aof_rewrite_min_size: int = option(Memory(0, INT64_MAX), 64 * MIB)
    # --- watching it
    slowlog_log_slower_than: int = option(Integer(-1, INT64_MAX), 10000)
    slowlog_max_len: int = option(Integer(0, INT64_MAX), 128)
    latency_monitor_threshold: int = option(Integer(0, INT64_MAX), 0)
    latency_tracking: bool = option(YesNo(), True)
    latency_tracking_info_percentiles: tuple[float, ...] = option(Percentiles(), (50.0, 99.0, 99.9))


@dataclass(frozen=True)
class Row:
    """One option, as the table has it."""

    name: str
    attribute: str
    kind: Kind[Any]
    default: Any
    mutable: bool
    protected: bool


ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row(one.name.replace("_", "-"), one.name, default=one.default, **one.metadata) for one in fields(Options)
    )
}


class OptionError(Exception):
    """A bad option: `name` as it was given, `text` what is wrong with it (Redis's words where it has some)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"option '{name}': {text}")
        self.name = name
        self.text = text


class UnknownOption(OptionError):
    """Neither kvcy nor Redis has an option of this name."""

    def __init__(self, name: str) -> None:
        near = nearest(name)
        super().__init__(name, f"unknown option '{name}'" + (f"; did you mean '{near}'?" if near else ""))


def nearest(name: str) -> str | None:
    """The known option name that looks most like `name`."""
    import difflib

    found = difflib.get_close_matches(name.lower(), [*ROWS, *sorted(NOT_YET | WITHOUT_EFFECT)], n=1, cutoff=0.6)
    return found[0] if found else None


def find(name: str) -> Row | None:
    """The row of an option, any case; None when kvcy has none of that name."""
    name = name.lower()
    return ROWS.get(ALIASES.get(name, name))


Change = Callable[[Options], None]


class Config:
    """The options' current values and what to do when they change."""

    def __init__(self, options: Options | None = None, path: str | None = None) -> None:
        self.options = options or Options()
        self.path = path  # of the configuration file, absolute; None: started without
        self._changes: dict[str, list[Change]] = {}

    def on_change(self, names: str | Sequence[str], change: Change) -> None:
        """Calls `change(options)` after one of these options was changed by CONFIG SET (once for all of them).
        It may raise ValueError with a reason, having changed nothing: then all values are put back, and those that
        were called before are called again."""
        for name in [names] if isinstance(names, str) else names:
            assert name in ROWS, name
            self._changes.setdefault(name, []).append(change)

    def values(self) -> Iterator[tuple[str, str]]:
        """Names and values as CONFIG GET shows them."""
        for row in ROWS.values():
            yield row.name, self.format(row)

    def format(self, row: Row) -> str:
        return str(row.kind.format(getattr(self.options, row.attribute)))

    def set_many(self, pairs: Sequence[tuple[str, str]], *, protected_allowed: bool = False) -> None:
        """Sets all of them or, raising OptionError, none."""
        rows: list[Row] = []
        for name, _ in pairs:
            row = find(name)
            if row is None:
                raise UnknownOption(name)
            if not row.mutable:
                raise OptionError(name, "can't set immutable config")
            if row.protected and not protected_allowed:
                raise OptionError(name, "can't set protected config")
            if row in rows:
                raise OptionError(name, "duplicate parameter")
            rows.append(row)
        new = {}
        for (name, text), row in zip(pairs, rows, strict=True):
            try:
                new[row.attribute] = row.kind.parse([text], getattr(self.options, row.attribute))
            except ValueError as error:
                raise OptionError(name, str(error)) from None
        old = {row.attribute: getattr(self.options, row.attribute) for row in rows}
        self._assign(new)
        self._apply([(name, row) for (name, _), row in zip(pairs, rows, strict=True)], old)

    def _assign(self, values: Mapping[str, Any]) -> None:
        for attribute, value in values.items():
            setattr(self.options, attribute, value)

    def _apply(self, changed: Sequence[tuple[str, Row]], old: Mapping[str, Any]) -> None:
        done: list[Change] = []
        for name, row in changed:
            for change in self._changes.get(row.name, []):
                if change in done:
                    continue
                try:
                    change(self.options)
                except ValueError as error:
                    self._assign(old)
                    for again in done:
                        again(self.options)
                    raise OptionError(name, str(error)) from None
                done.append(change)
