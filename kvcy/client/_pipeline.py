# Made from _async/commands.py by tools/generate_sync_client.py: change it there.
"""The commands as methods that collect them for a pipeline; each returns the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from kvcy.client._arguments import Argument, Data, Value, flatten, timing, words

Self = TypeVar("Self", bound="PipelineCommands")


class PipelineCommands:
    """Commands collected so far, in `commands`."""

    def __init__(self) -> None:
        self.commands: list[tuple[Argument, ...]] = []

    def call(self: Self, *arguments: Argument) -> Self:
        """Collects any command."""
        self.commands.append(arguments)
        return self

    def set(
        self: Self,
        key: Data,
        value: Value,
        *,
        ex: int | None = None,
        px: int | None = None,
        exat: int | None = None,
        pxat: int | None = None,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
        get: bool = False,
    ) -> Self:
        """Sets a key; OK; None if `nx` (must be missing) or `xx` (must exist) forbade it; the old value with `get`.

        Args:
            ex, px: seconds, milliseconds until it expires.
            exat, pxat: Unix time in seconds, milliseconds at which it expires.
            keepttl: keep the expiry that the key has.
        """
        options = [*timing(ex=ex, px=px, exat=exat, pxat=pxat), *words(keepttl=keepttl, nx=nx, xx=xx, get=get)]
        return self.call("SET", key, value, *options)

    def getex(
        self: Self,
        key: Data,
        *,
        ex: int | None = None,
        px: int | None = None,
        exat: int | None = None,
        pxat: int | None = None,
        persist: bool = False,
    ) -> Self:
        """The value of a key, or None; sets or takes away (`persist`) its expiry."""
        options = [*timing(ex=ex, px=px, exat=exat, pxat=pxat), *words(persist=persist)]
        return self.call("GETEX", key, *options)

    def copy(self: Self, source: Data, target: Data, *, database: int | None = None, replace: bool = False) -> Self:
        """Copies a value to another key, which must be missing unless `replace`: 1, else 0."""
        options = [*timing(db=database), *words(replace=replace)]
        return self.call("COPY", source, target, *options)

    def scan(
        self: Self, cursor: int = 0, *, match: Data | None = None, count: int | None = None, type: str | None = None
    ) -> Self:
        """The next cursor (0 at the end) and some keys. `scan_iter` goes through all of them."""
        options = [*timing(match=match, count=count, type=type)]
        return self.call("SCAN", cursor, *options)

    def krange(
        self: Self,
        start: Data,
        stop: Data,
        *,
        rev: bool = False,
        limit: tuple[int, int] | None = None,
        values: bool = False,
    ) -> Self:
        """The keys of a range in order, or pairs. Bounds: b"[a", b"(a", b"-", b"+". limit: offset and count."""
        options = [*words(rev=rev, withvalues=values), *(("LIMIT", *limit) if limit else ())]
        return self.call("KRANGE", start, stop, *options)

    def expire(
        self: Self, key: Data, seconds: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> Self:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        return self.call("EXPIRE", key, seconds, *options)

    def pexpire(
        self: Self,
        key: Data,
        milliseconds: int,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Self:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        return self.call("PEXPIRE", key, milliseconds, *options)

    def expireat(
        self: Self, key: Data, unix_s: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> Self:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        return self.call("EXPIREAT", key, unix_s, *options)

    def pexpireat(
        self: Self, key: Data, unix_ms: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> Self:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        return self.call("PEXPIREAT", key, unix_ms, *options)

    def ping(self: Self) -> Self:
        """PONG, if the server is there."""
        return self.call("PING")

    def echo(self: Self, message: Data) -> Self:
        """The message, from the server."""
        return self.call("ECHO", message)

    def get(self: Self, key: Data) -> Self:
        """The value of a key, or None."""
        return self.call("GET", key)

    def mget(self: Self, *keys: Data) -> Self:
        """The values of several keys, None for each that is missing."""
        return self.call("MGET", *keys)

    def mset(self: Self, pairs: Mapping[Data, Value]) -> Self:
        """Sets several keys, as one step."""
        return self.call("MSET", *flatten(pairs))

    def msetnx(self: Self, pairs: Mapping[Data, Value]) -> Self:
        """Sets several keys, as one step, if none of them exists: 1, else 0."""
        return self.call("MSETNX", *flatten(pairs))

    def setnx(self: Self, key: Data, value: Value) -> Self:
        """Sets a key if it is missing: 1, else 0."""
        return self.call("SETNX", key, value)

    def setex(self: Self, key: Data, seconds: int, value: Value) -> Self:
        """Sets a key that expires in so many seconds."""
        return self.call("SETEX", key, seconds, value)

    def psetex(self: Self, key: Data, milliseconds: int, value: Value) -> Self:
        """Sets a key that expires in so many milliseconds."""
        return self.call("PSETEX", key, milliseconds, value)

    def getset(self: Self, key: Data, value: Value) -> Self:
        """Sets a key; its value before."""
        return self.call("GETSET", key, value)

    def getdel(self: Self, key: Data) -> Self:
        """Deletes a key; its value before."""
        return self.call("GETDEL", key)

    def append(self: Self, key: Data, value: Value) -> Self:
        """Appends to a value; its new length in bytes."""
        return self.call("APPEND", key, value)

    def strlen(self: Self, key: Data) -> Self:
        """The length of a value in bytes."""
        return self.call("STRLEN", key)

    def getrange(self: Self, key: Data, start: int, end: int) -> Self:
        """The bytes of a value from start to end, both included; negative ones count from the end."""
        return self.call("GETRANGE", key, start, end)

    def setrange(self: Self, key: Data, offset: int, value: Value) -> Self:
        """Overwrites a value from an offset on; its new length in bytes."""
        return self.call("SETRANGE", key, offset, value)

    def incr(self: Self, key: Data) -> Self:
        """Adds 1 to a value; the sum."""
        return self.call("INCR", key)

    def incrby(self: Self, key: Data, amount: int) -> Self:
        """Adds to a value; the sum."""
        return self.call("INCRBY", key, amount)

    def decr(self: Self, key: Data) -> Self:
        """Takes 1 from a value; the difference."""
        return self.call("DECR", key)

    def decrby(self: Self, key: Data, amount: int) -> Self:
        """Takes from a value; the difference."""
        return self.call("DECRBY", key, amount)

    def incrbyfloat(self: Self, key: Data, amount: float) -> Self:
        """Adds a decimal number to a value; the sum, as text."""
        return self.call("INCRBYFLOAT", key, amount)

    def delete(self: Self, *keys: Data) -> Self:
        """Deletes keys; how many were there."""
        return self.call("DEL", *keys)

    def unlink(self: Self, *keys: Data) -> Self:
        """Deletes keys; how many were there."""
        return self.call("UNLINK", *keys)

    def exists(self: Self, *keys: Data) -> Self:
        """How many of the keys exist, each as often as it is named."""
        return self.call("EXISTS", *keys)

    def type(self: Self, key: Data) -> Self:
        """The type of a value, or none."""
        return self.call("TYPE", key)

    def touch(self: Self, *keys: Data) -> Self:
        """Makes keys the ones used last; how many exist."""
        return self.call("TOUCH", *keys)

    def keys(self: Self, pattern: Data = "*") -> Self:
        """All keys that match a glob pattern."""
        return self.call("KEYS", pattern)

    def kcount(self: Self, start: Data, stop: Data) -> Self:
        """How many keys a range has; bounds as for `krange`."""
        return self.call("KCOUNT", start, stop)

    def kdel(self: Self, start: Data, stop: Data) -> Self:
        """Deletes the keys of a range: how many there were; bounds as for `krange`."""
        return self.call("KDEL", start, stop)

    def randomkey(self: Self) -> Self:
        """A random key, or None when there is none."""
        return self.call("RANDOMKEY")

    def rename(self: Self, source: Data, target: Data) -> Self:
        """Gives a value another key, replacing what was there."""
        return self.call("RENAME", source, target)

    def renamenx(self: Self, source: Data, target: Data) -> Self:
        """Gives a value another key unless that exists: 1, else 0."""
        return self.call("RENAMENX", source, target)

    def move(self: Self, key: Data, database: int) -> Self:
        """Moves a key to another database: 1, or 0 if it is missing here or exists there."""
        return self.call("MOVE", key, database)

    def dbsize(self: Self) -> Self:
        """How many keys the database has."""
        return self.call("DBSIZE")

    def flushdb(self: Self) -> Self:
        """Deletes all keys of the database."""
        return self.call("FLUSHDB")

    def flushall(self: Self) -> Self:
        """Deletes all keys of all databases."""
        return self.call("FLUSHALL")

    def swapdb(self: Self, first: int, second: int) -> Self:
        """Swaps two databases."""
        return self.call("SWAPDB", first, second)

    def ttl(self: Self, key: Data) -> Self:
        """Seconds until a key expires; -1 if it never does, -2 if it is missing."""
        return self.call("TTL", key)

    def pttl(self: Self, key: Data) -> Self:
        """Milliseconds until a key expires; -1 if it never does, -2 if it is missing."""
        return self.call("PTTL", key)

    def expiretime(self: Self, key: Data) -> Self:
        """Unix time in seconds at which a key expires; -1 never, -2 missing."""
        return self.call("EXPIRETIME", key)

    def pexpiretime(self: Self, key: Data) -> Self:
        """Unix time in milliseconds at which a key expires; -1 never, -2 missing."""
        return self.call("PEXPIRETIME", key)

    def persist(self: Self, key: Data) -> Self:
        """Takes a key's expiry away: 1, or 0 if it had none."""
        return self.call("PERSIST", key)

    def object_encoding(self: Self, key: Data) -> Self:
        """How a value is kept, in Redis's terms."""
        return self.call("OBJECT", "ENCODING", key)

    def object_idletime(self: Self, key: Data) -> Self:
        """Seconds since a key was last used."""
        return self.call("OBJECT", "IDLETIME", key)

    def object_freq(self: Self, key: Data) -> Self:
        """How often a key is used, under an LFU policy."""
        return self.call("OBJECT", "FREQ", key)

    def object_refcount(self: Self, key: Data) -> Self:
        """References of a value."""
        return self.call("OBJECT", "REFCOUNT", key)

    def memory_usage(self: Self, key: Data) -> Self:
        """Bytes that a key and its value take."""
        return self.call("MEMORY", "USAGE", key)

    def time(self: Self) -> Self:
        """The server's Unix time: seconds, and microseconds of the second."""
        return self.call("TIME")

    def info(self: Self, *sections: str) -> Self:
        """The server's report on itself."""
        return self.call("INFO", *sections)

    def config_get(self: Self, *patterns: str) -> Self:
        """The options whose names match."""
        return self.call("CONFIG", "GET", *patterns)

    def config_set(self: Self, options: Mapping[str, Value]) -> Self:
        """Changes options, all or none."""
        return self.call("CONFIG", "SET", *flatten(options))

    def config_resetstat(self: Self) -> Self:
        """Sets the counters of INFO to zero."""
        return self.call("CONFIG", "RESETSTAT")

    def config_rewrite(self: Self) -> Self:
        """Writes the options that are in force to the configuration file."""
        return self.call("CONFIG", "REWRITE")

    def client_id(self: Self) -> Self:
        """The connection's number."""
        return self.call("CLIENT", "ID")

    def client_getname(self: Self) -> Self:
        """The connection's name."""
        return self.call("CLIENT", "GETNAME")

    def client_setname(self: Self, name: str) -> Self:
        """Names the connection."""
        return self.call("CLIENT", "SETNAME", name)

    def client_list(self: Self) -> Self:
        """A line for each connection of the server."""
        return self.call("CLIENT", "LIST")

    def client_info(self: Self) -> Self:
        """The line of this connection."""
        return self.call("CLIENT", "INFO")

    def client_kill(self: Self, *filters: Value) -> Self:
        """Closes connections, chosen by an address or by filters such as "ID", 7."""
        return self.call("CLIENT", "KILL", *filters)

    def command_count(self: Self) -> Self:
        """How many commands the server has."""
        return self.call("COMMAND", "COUNT")

    def slowlog_get(self: Self, count: int = 10) -> Self:
        """The slowest commands noted last."""
        return self.call("SLOWLOG", "GET", count)

    def slowlog_len(self: Self) -> Self:
        """How many slow commands are noted."""
        return self.call("SLOWLOG", "LEN")

    def slowlog_reset(self: Self) -> Self:
        """Forgets the slow commands."""
        return self.call("SLOWLOG", "RESET")

    def latency_latest(self: Self) -> Self:
        """The latest latency spikes."""
        return self.call("LATENCY", "LATEST")

    def latency_reset(self: Self, *events: str) -> Self:
        """Forgets latency spikes; of how many kinds."""
        return self.call("LATENCY", "RESET", *events)

    def watch(self: Self, *keys: Data) -> Self:
        """Lets the connection's next EXEC do nothing if one of these keys changes before it."""
        return self.call("WATCH", *keys)

    def unwatch(self: Self) -> Self:
        """Ends the connection's watches."""
        return self.call("UNWATCH")
