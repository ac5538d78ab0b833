# Made from _async/commands.py by tools/generate_sync_client.py: change it there.
"""The commands as typed methods. Each is one call of `execute`, whose reply it returns as RESP3 shows it.

What a method is called and takes follows the command. Errors of the server are raised as kvcy.ReplyError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvcy.client._arguments import Argument, Data, Value, flatten, timing, words


class Commands:
    """Typed methods over `execute`."""

    def execute(self, *arguments: Argument) -> Any:
        """Runs any command; its reply."""
        raise NotImplementedError

    def set(
        self,
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
    ) -> bytes | None:
        """Sets a key; OK; None if `nx` (must be missing) or `xx` (must exist) forbade it; the old value with `get`.

        Args:
            ex, px: seconds, milliseconds until it expires.
            exat, pxat: Unix time in seconds, milliseconds at which it expires.
            keepttl: keep the expiry that the key has.
        """
        options = [*timing(ex=ex, px=px, exat=exat, pxat=pxat), *words(keepttl=keepttl, nx=nx, xx=xx, get=get)]
        reply: bytes | None = self.execute("SET", key, value, *options)
        return reply

    def getex(
        self,
        key: Data,
        *,
        ex: int | None = None,
        px: int | None = None,
        exat: int | None = None,
        pxat: int | None = None,
        persist: bool = False,
    ) -> bytes | None:
        """The value of a key, or None; sets or takes away (`persist`) its expiry."""
        options = [*timing(ex=ex, px=px, exat=exat, pxat=pxat), *words(persist=persist)]
        reply: bytes | None = self.execute("GETEX", key, *options)
        return reply

    def copy(self, source: Data, target: Data, *, database: int | None = None, replace: bool = False) -> int:
        """Copies a value to another key, which must be missing unless `replace`: 1, else 0."""
        options = [*timing(db=database), *words(replace=replace)]
        reply: int = self.execute("COPY", source, target, *options)
        return reply

    def scan(
        self, cursor: int = 0, *, match: Data | None = None, count: int | None = None, type: str | None = None
    ) -> list[Any]:
        """The next cursor (0 at the end) and some keys. `scan_iter` goes through all of them."""
        options = [*timing(match=match, count=count, type=type)]
        reply: list[Any] = self.execute("SCAN", cursor, *options)
        return reply

    def krange(
        self, start: Data, stop: Data, *, rev: bool = False, limit: tuple[int, int] | None = None, values: bool = False
    ) -> list[Any]:
        """The keys of a range in order, or pairs. Bounds: b"[a", b"(a", b"-", b"+". limit: offset and count."""
        options = [*words(rev=rev, withvalues=values), *(("LIMIT", *limit) if limit else ())]
        reply: list[Any] = self.execute("KRANGE", start, stop, *options)
        return reply

    def expire(
        self, key: Data, seconds: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = self.execute("EXPIRE", key, seconds, *options)
        return reply

    def pexpire(
        self, key: Data, milliseconds: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = self.execute("PEXPIRE", key, milliseconds, *options)
        return reply

    def expireat(
        self, key: Data, unix_s: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = self.execute("EXPIREAT", key, unix_s, *options)
        return reply

    def pexpireat(
        self, key: Data, unix_ms: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = self.execute("PEXPIREAT", key, unix_ms, *options)
        return reply

    def ping(self) -> bytes:
        """PONG, if the server is there."""
        reply: bytes = self.execute("PING")
        return reply

    def echo(self, message: Data) -> bytes:
        """The message, from the server."""
        reply: bytes = self.execute("ECHO", message)
        return reply

    def get(self, key: Data) -> bytes | None:
        """The value of a key, or None."""
        reply: bytes | None = self.execute("GET", key)
        return reply

    def mget(self, *keys: Data) -> list[bytes | None]:
        """The values of several keys, None for each that is missing."""
        reply: list[bytes | None] = self.execute("MGET", *keys)
        return reply

    def mset(self, pairs: Mapping[Data, Value]) -> bytes:
        """Sets several keys, as one step."""
        reply: bytes = self.execute("MSET", *flatten(pairs))
        return reply

    def msetnx(self, pairs: Mapping[Data, Value]) -> int:
        """Sets several keys, as one step, if none of them exists: 1, else 0."""
        reply: int = self.execute("MSETNX", *flatten(pairs))
        return reply

    def setnx(self, key: Data, value: Value) -> int:
        """Sets a key if it is missing: 1, else 0."""
        reply: int = self.execute("SETNX", key, value)
        return reply

    def setex(self, key: Data, seconds: int, value: Value) -> bytes:
        """Sets a key that expires in so many seconds."""
        reply: bytes = self.execute("SETEX", key, seconds, value)
        return reply

    def psetex(self, key: Data, milliseconds: int, value: Value) -> bytes:
        """Sets a key that expires in so many milliseconds."""
        reply: bytes = self.execute("PSETEX", key, milliseconds, value)
        return reply

    def getset(self, key: Data, value: Value) -> bytes | None:
        """Sets a key; its value before."""
        reply: bytes | None = self.execute("GETSET", key, value)
        return reply

    def getdel(self, key: Data) -> bytes | None:
        """Deletes a key; its value before."""
        reply: bytes | None = self.execute("GETDEL", key)
        return reply

    def append(self, key: Data, value: Value) -> int:
        """Appends to a value; its new length in bytes."""
        reply: int = self.execute("APPEND", key, value)
        return reply

    def strlen(self, key: Data) -> int:
        """The length of a value in bytes."""
        reply: int = self.execute("STRLEN", key)
        return reply

    def getrange(self, key: Data, start: int, end: int) -> bytes:
        """The bytes of a value from start to end, both included; negative ones count from the end."""
        reply: bytes = self.execute("GETRANGE", key, start, end)
        return reply

    def setrange(self, key: Data, offset: int, value: Value) -> int:
        """Overwrites a value from an offset on; its new length in bytes."""
        reply: int = self.execute("SETRANGE", key, offset, value)
        return reply

    def incr(self, key: Data) -> int:
        """Adds 1 to a value; the sum."""
        reply: int = self.execute("INCR", key)
        return reply

    def incrby(self, key: Data, amount: int) -> int:
        """Adds to a value; the sum."""
        reply: int = self.execute("INCRBY", key, amount)
        return reply

    def decr(self, key: Data) -> int:
        """Takes 1 from a value; the difference."""
        reply: int = self.execute("DECR", key)
        return reply

    def decrby(self, key: Data, amount: int) -> int:
        """Takes from a value; the difference."""
        reply: int = self.execute("DECRBY", key, amount)
        return reply

    def incrbyfloat(self, key: Data, amount: float) -> bytes:
        """Adds a decimal number to a value; the sum, as text."""
        reply: bytes = self.execute("INCRBYFLOAT", key, amount)
        return reply

    def delete(self, *keys: Data) -> int:
        """Deletes keys; how many were there."""
        reply: int = self.execute("DEL", *keys)
        return reply

    def unlink(self, *keys: Data) -> int:
        """Deletes keys; how many were there."""
        reply: int = self.execute("UNLINK", *keys)
        return reply

    def exists(self, *keys: Data) -> int:
        """How many of the keys exist, each as often as it is named."""
        reply: int = self.execute("EXISTS", *keys)
        return reply

    def type(self, key: Data) -> bytes:
        """The type of a value, or none."""
        reply: bytes = self.execute("TYPE", key)
        return reply

    def touch(self, *keys: Data) -> int:
        """Makes keys the ones used last; how many exist."""
        reply: int = self.execute("TOUCH", *keys)
        return reply

    def keys(self, pattern: Data = "*") -> list[bytes]:
        """All keys that match a glob pattern."""
        reply: list[bytes] = self.execute("KEYS", pattern)
        return reply

    def kcount(self, start: Data, stop: Data) -> int:
        """How many keys a range has; bounds as for `krange`."""
        reply: int = self.execute("KCOUNT", start, stop)
        return reply

    def kdel(self, start: Data, stop: Data) -> int:
        """Deletes the keys of a range: how many there were; bounds as for `krange`."""
        reply: int = self.execute("KDEL", start, stop)
        return reply

    def randomkey(self) -> bytes | None:
        """A random key, or None when there is none."""
        reply: bytes | None = self.execute("RANDOMKEY")
        return reply

    def rename(self, source: Data, target: Data) -> bytes:
        """Gives a value another key, replacing what was there."""
        reply: bytes = self.execute("RENAME", source, target)
        return reply

    def renamenx(self, source: Data, target: Data) -> int:
        """Gives a value another key unless that exists: 1, else 0."""
        reply: int = self.execute("RENAMENX", source, target)
        return reply

    def move(self, key: Data, database: int) -> int:
        """Moves a key to another database: 1, or 0 if it is missing here or exists there."""
        reply: int = self.execute("MOVE", key, database)
        return reply

    def dbsize(self) -> int:
        """How many keys the database has."""
        reply: int = self.execute("DBSIZE")
        return reply

    def flushdb(self) -> bytes:
        """Deletes all keys of the database."""
        reply: bytes = self.execute("FLUSHDB")
        return reply

    def flushall(self) -> bytes:
        """Deletes all keys of all databases."""
        reply: bytes = self.execute("FLUSHALL")
        return reply

    def swapdb(self, first: int, second: int) -> bytes:
        """Swaps two databases."""
        reply: bytes = self.execute("SWAPDB", first, second)
        return reply

    def ttl(self, key: Data) -> int:
        """Seconds until a key expires; -1 if it never does, -2 if it is missing."""
        reply: int = self.execute("TTL", key)
        return reply

    def pttl(self, key: Data) -> int:
        """Milliseconds until a key expires; -1 if it never does, -2 if it is missing."""
        reply: int = self.execute("PTTL", key)
        return reply

    def expiretime(self, key: Data) -> int:
        """Unix time in seconds at which a key expires; -1 never, -2 missing."""
        reply: int = self.execute("EXPIRETIME", key)
        return reply

    def pexpiretime(self, key: Data) -> int:
        """Unix time in milliseconds at which a key expires; -1 never, -2 missing."""
        reply: int = self.execute("PEXPIRETIME", key)
        return reply

    def persist(self, key: Data) -> int:
        """Takes a key's expiry away: 1, or 0 if it had none."""
        reply: int = self.execute("PERSIST", key)
        return reply

    def object_encoding(self, key: Data) -> bytes | None:
        """How a value is kept, in Redis's terms."""
        reply: bytes | None = self.execute("OBJECT", "ENCODING", key)
        return reply

    def object_idletime(self, key: Data) -> int | None:
        """Seconds since a key was last used."""
        reply: int | None = self.execute("OBJECT", "IDLETIME", key)
        return reply

    def object_freq(self, key: Data) -> int:
        """How often a key is used, under an LFU policy."""
        reply: int = self.execute("OBJECT", "FREQ", key)
        return reply

    def object_refcount(self, key: Data) -> int | None:
        """References of a value."""
        reply: int | None = self.execute("OBJECT", "REFCOUNT", key)
        return reply

    def memory_usage(self, key: Data) -> int | None:
        """Bytes that a key and its value take."""
        reply: int | None = self.execute("MEMORY", "USAGE", key)
        return reply

    def time(self) -> list[bytes]:
        """The server's Unix time: seconds, and microseconds of the second."""
        reply: list[bytes] = self.execute("TIME")
        return reply

    def info(self, *sections: str) -> bytes:
        """The server's report on itself."""
        reply: bytes = self.execute("INFO", *sections)
        return reply

    def config_get(self, *patterns: str) -> dict[bytes, bytes]:
        """The options whose names match."""
        reply: dict[bytes, bytes] = self.execute("CONFIG", "GET", *patterns)
        return reply

    def config_set(self, options: Mapping[str, Value]) -> bytes:
        """Changes options, all or none."""
        reply: bytes = self.execute("CONFIG", "SET", *flatten(options))
        return reply

    def config_resetstat(self) -> bytes:
        """Sets the counters of INFO to zero."""
        reply: bytes = self.execute("CONFIG", "RESETSTAT")
        return reply

    def config_rewrite(self) -> bytes:
        """Writes the options that are in force to the configuration file."""
        reply: bytes = self.execute("CONFIG", "REWRITE")
        return reply

    def client_id(self) -> int:
        """The connection's number."""
        reply: int = self.execute("CLIENT", "ID")
        return reply

    def client_getname(self) -> bytes | None:
        """The connection's name."""
        reply: bytes | None = self.execute("CLIENT", "GETNAME")
        return reply

    def client_setname(self, name: str) -> bytes:
        """Names the connection."""
        reply: bytes = self.execute("CLIENT", "SETNAME", name)
        return reply

    def client_list(self) -> bytes:
        """A line for each connection of the server."""
        reply: bytes = self.execute("CLIENT", "LIST")
        return reply

    def client_info(self) -> bytes:
        """The line of this connection."""
        reply: bytes = self.execute("CLIENT", "INFO")
        return reply

    def client_kill(self, *filters: Value) -> int | bytes:
        """Closes connections, chosen by an address or by filters such as "ID", 7."""
        reply: int | bytes = self.execute("CLIENT", "KILL", *filters)
        return reply

    def command_count(self) -> int:
        """How many commands the server has."""
        reply: int = self.execute("COMMAND", "COUNT")
        return reply

    def slowlog_get(self, count: int = 10) -> list[list[object]]:
        """The slowest commands noted last."""
        reply: list[list[object]] = self.execute("SLOWLOG", "GET", count)
        return reply

    def slowlog_len(self) -> int:
        """How many slow commands are noted."""
        reply: int = self.execute("SLOWLOG", "LEN")
        return reply

    def slowlog_reset(self) -> bytes:
        """Forgets the slow commands."""
        reply: bytes = self.execute("SLOWLOG", "RESET")
        return reply

    def latency_latest(self) -> list[list[object]]:
        """The latest latency spikes."""
        reply: list[list[object]] = self.execute("LATENCY", "LATEST")
        return reply

    def latency_reset(self, *events: str) -> int:
        """Forgets latency spikes; of how many kinds."""
        reply: int = self.execute("LATENCY", "RESET", *events)
        return reply

    def watch(self, *keys: Data) -> bytes:
        """Lets the connection's next EXEC do nothing if one of these keys changes before it."""
        reply: bytes = self.execute("WATCH", *keys)
        return reply

    def unwatch(self) -> bytes:
        """Ends the connection's watches."""
        reply: bytes = self.execute("UNWATCH")
        return reply
