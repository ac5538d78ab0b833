"""The commands as typed methods. Each is one call of `execute`, whose reply it returns as RESP3 shows it.

What a method is called and takes follows the command. Errors of the server are raised as kvcy.ReplyError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvcy.client._arguments import Argument, Data, Value, flatten, timing, words


class Commands:
    """Typed methods over `execute`."""

    async def execute(self, *arguments: Argument) -> Any:
        """Runs any command; its reply."""
        raise NotImplementedError

    async def set(
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
        reply: bytes | None = await self.execute("SET", key, value, *options)
        return reply

    async def getex(
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
        reply: bytes | None = await self.execute("GETEX", key, *options)
        return reply

    async def copy(self, source: Data, target: Data, *, database: int | None = None, replace: bool = False) -> int:
        """Copies a value to another key, which must be missing unless `replace`: 1, else 0."""
        options = [*timing(db=database), *words(replace=replace)]
        reply: int = await self.execute("COPY", source, target, *options)
        return reply

    async def scan(
        self, cursor: int = 0, *, match: Data | None = None, count: int | None = None, type: str | None = None
    ) -> list[Any]:
        """The next cursor (0 at the end) and some keys. `scan_iter` goes through all of them."""
        options = [*timing(match=match, count=count, type=type)]
        reply: list[Any] = await self.execute("SCAN", cursor, *options)
        return reply

    async def krange(
        self, start: Data, stop: Data, *, rev: bool = False, limit: tuple[int, int] | None = None, values: bool = False
    ) -> list[Any]:
        """The keys of a range in order, or pairs. Bounds: b"[a", b"(a", b"-", b"+". limit: offset and count."""
        options = [*words(rev=rev, withvalues=values), *(("LIMIT", *limit) if limit else ())]
        reply: list[Any] = await self.execute("KRANGE", start, stop, *options)
        return reply

    async def expire(
        self, key: Data, seconds: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = await self.execute("EXPIRE", key, seconds, *options)
        return reply

    async def pexpire(
        self, key: Data, milliseconds: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = await self.execute("PEXPIRE", key, milliseconds, *options)
        return reply

    async def expireat(
        self, key: Data, unix_s: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = await self.execute("EXPIREAT", key, unix_s, *options)
        return reply

    async def pexpireat(
        self, key: Data, unix_ms: int, *, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> int:
        """Sets when a key expires: 1, or 0 if it is missing or a condition forbade it."""
        options = words(nx=nx, xx=xx, gt=gt, lt=lt)
        reply: int = await self.execute("PEXPIREAT", key, unix_ms, *options)
        return reply

    async def ping(self) -> bytes:
        """PONG, if the server is there."""
        reply: bytes = await self.execute("PING")
        return reply

    async def echo(self, message: Data) -> bytes:
        """The message, from the server."""
        reply: bytes = await self.execute("ECHO", message)
        return reply

    async def get(self, key: Data) -> bytes | None:
        """The value of a key, or None."""
        reply: bytes | None = await self.execute("GET", key)
        return reply

    async def mget(self, *keys: Data) -> list[bytes | None]:
        """The values of several keys, None for each that is missing."""
        reply: list[bytes | None] = await self.execute("MGET", *keys)
        return reply

    async def mset(self, pairs: Mapping[Data, Value]) -> bytes:
        """Sets several keys, as one step."""
        reply: bytes = await self.execute("MSET", *flatten(pairs))
        return reply

    async def msetnx(self, pairs: Mapping[Data, Value]) -> int:
        """Sets several keys, as one step, if none of them exists: 1, else 0."""
        reply: int = await self.execute("MSETNX", *flatten(pairs))
        return reply

    async def setnx(self, key: Data, value: Value) -> int:
        """Sets a key if it is missing: 1, else 0."""
        reply: int = await self.execute("SETNX", key, value)
        return reply

    async def setex(self, key: Data, seconds: int, value: Value) -> bytes:
        """Sets a key that expires in so many seconds."""
        reply: bytes = await self.execute("SETEX", key, seconds, value)
        return reply

    async def psetex(self, key: Data, milliseconds: int, value: Value) -> bytes:
        """Sets a key that expires in so many milliseconds."""
        reply: bytes = await self.execute("PSETEX", key, milliseconds, value)
        return reply

    async def getset(self, key: Data, value: Value) -> bytes | None:
        """Sets a key; its value before."""
        reply: bytes | None = await self.execute("GETSET", key, value)
        return reply

    async def getdel(self, key: Data) -> bytes | None:
        """Deletes a key; its value before."""
        reply: bytes | None = await self.execute("GETDEL", key)
        return reply

    async def append(self, key: Data, value: Value) -> int:
        """Appends to a value; its new length in bytes."""
        reply: int = await self.execute("APPEND", key, value)
        return reply

    async def strlen(self, key: Data) -> int:
        """The length of a value in bytes."""
        reply: int = await self.execute("STRLEN", key)
        return reply

    async def getrange(self, key: Data, start: int, end: int) -> bytes:
        """The bytes of a value from start to end, both included; negative ones count from the end."""
        reply: bytes = await self.execute("GETRANGE", key, start, end)
        return reply

    async def setrange(self, key: Data, offset: int, value: Value) -> int:
        """Overwrites a value from an offset on; its new length in bytes."""
        reply: int = await self.execute("SETRANGE", key, offset, value)
        return reply

    async def incr(self, key: Data) -> int:
        """Adds 1 to a value; the sum."""
        reply: int = await self.execute("INCR", key)
        return reply

    async def incrby(self, key: Data, amount: int) -> int:
        """Adds to a value; the sum."""
        reply: int = await self.execute("INCRBY", key, amount)
        return reply

    async def decr(self, key: Data) -> int:
        """Takes 1 from a value; the difference."""
        reply: int = await self.execute("DECR", key)
        return reply

    async def decrby(self, key: Data, amount: int) -> int:
        """Takes from a value; the difference."""
        reply: int = await self.execute("DECRBY", key, amount)
        return reply

    async def incrbyfloat(self, key: Data, amount: float) -> bytes:
        """Adds a decimal number to a value; the sum, as text."""
        reply: bytes = await self.execute("INCRBYFLOAT", key, amount)
        return reply

    async def delete(self, *keys: Data) -> int:
        """Deletes keys; how many were there."""
        reply: int = await self.execute("DEL", *keys)
        return reply

    async def unlink(self, *keys: Data) -> int:
        """Deletes keys; how many were there."""
        reply: int = await self.execute("UNLINK", *keys)
        return reply

    async def exists(self, *keys: Data) -> int:
        """How many of the keys exist, each as often as it is named."""
        reply: int = await self.execute("EXISTS", *keys)
        return reply

    async def type(self, key: Data) -> bytes:
        """The type of a value, or none."""
        reply: bytes = await self.execute("TYPE", key)
        return reply

    async def touch(self, *keys: Data) -> int:
        """Makes keys the ones used last; how many exist."""
        reply: int = await self.execute("TOUCH", *keys)
        return reply

    async def keys(self, pattern: Data = "*") -> list[bytes]:
        """All keys that match a glob pattern."""
        reply: list[bytes] = await self.execute("KEYS", pattern)
        return reply

    async def kcount(self, start: Data, stop: Data) -> int:
        """How many keys a range has; bounds as for `krange`."""
        reply: int = await self.execute("KCOUNT", start, stop)
        return reply

    async def kdel(self, start: Data, stop: Data) -> int:
        """Deletes the keys of a range: how many there were; bounds as for `krange`."""
        reply: int = await self.execute("KDEL", start, stop)
        return reply

    async def randomkey(self) -> bytes | None:
        """A random key, or None when there is none."""
        reply: bytes | None = await self.execute("RANDOMKEY")
        return reply

    async def rename(self, source: Data, target: Data) -> bytes:
        """Gives a value another key, replacing what was there."""
        reply: bytes = await self.execute("RENAME", source, target)
        return reply

    async def renamenx(self, source: Data, target: Data) -> int:
        """Gives a value another key unless that exists: 1, else 0."""
        reply: int = await self.execute("RENAMENX", source, target)
        return reply

    async def move(self, key: Data, database: int) -> int:
        """Moves a key to another database: 1, or 0 if it is missing here or exists there."""
        reply: int = await self.execute("MOVE", key, database)
        return reply

    async def dbsize(self) -> int:
        """How many keys the database has."""
        reply: int = await self.execute("DBSIZE")
        return reply

    async def flushdb(self) -> bytes:
        """Deletes all keys of the database."""
        reply: bytes = await self.execute("FLUSHDB")
        return reply

    async def flushall(self) -> bytes:
        """Deletes all keys of all databases."""
        reply: bytes = await self.execute("FLUSHALL")
        return reply

    async def swapdb(self, first: int, second: int) -> bytes:
        """Swaps two databases."""
        reply: bytes = await self.execute("SWAPDB", first, second)
        return reply

    async def ttl(self, key: Data) -> int:
        """Seconds until a key expires; -1 if it never does, -2 if it is missing."""
        reply: int = await self.execute("TTL", key)
        return reply

    async def pttl(self, key: Data) -> int:
        """Milliseconds until a key expires; -1 if it never does, -2 if it is missing."""
        reply: int = await self.execute("PTTL", key)
        return reply

    async def expiretime(self, key: Data) -> int:
        """Unix time in seconds at which a key expires; -1 never, -2 missing."""
        reply: int = await self.execute("EXPIRETIME", key)
        return reply

    async def pexpiretime(self, key: Data) -> int:
        """Unix time in milliseconds at which a key expires; -1 never, -2 missing."""
        reply: int = await self.execute("PEXPIRETIME", key)
        return reply

    async def persist(self, key: Data) -> int:
        """Takes a key's expiry away: 1, or 0 if it had none."""
        reply: int = await self.execute("PERSIST", key)
        return reply

    async def object_encoding(self, key: Data) -> bytes | None:
        """How a value is kept, in Redis's terms."""
        reply: bytes | None = await self.execute("OBJECT", "ENCODING", key)
        return reply

    async def object_idletime(self, key: Data) -> int | None:
        """Seconds since a key was last used."""
        reply: int | None = await self.execute("OBJECT", "IDLETIME", key)
        return reply

    async def object_freq(self, key: Data) -> int:
        """How often a key is used, under an LFU policy."""
        reply: int = await self.execute("OBJECT", "FREQ", key)
        return reply

    async def object_refcount(self, key: Data) -> int | None:
        """References of a value."""
        reply: int | None = await self.execute("OBJECT", "REFCOUNT", key)
        return reply

    async def memory_usage(self, key: Data) -> int | None:
        """Bytes that a key and its value take."""
        reply: int | None = await self.execute("MEMORY", "USAGE", key)
        return reply

    async def time(self) -> list[bytes]:
        """The server's Unix time: seconds, and microseconds of the second."""
        reply: list[bytes] = await self.execute("TIME")
        return reply

    async def info(self, *sections: str) -> bytes:
        """The server's report on itself."""
        reply: bytes = await self.execute("INFO", *sections)
        return reply

    async def config_get(self, *patterns: str) -> dict[bytes, bytes]:
        """The options whose names match."""
        reply: dict[bytes, bytes] = await self.execute("CONFIG", "GET", *patterns)
        return reply

    async def config_set(self, options: Mapping[str, Value]) -> bytes:
        """Changes options, all or none."""
        reply: bytes = await self.execute("CONFIG", "SET", *flatten(options))
        return reply

    async def config_resetstat(self) -> bytes:
        """Sets the counters of INFO to zero."""
        reply: bytes = await self.execute("CONFIG", "RESETSTAT")
        return reply

    async def config_rewrite(self) -> bytes:
        """Writes the options that are in force to the configuration file."""
        reply: bytes = await self.execute("CONFIG", "REWRITE")
        return reply

    async def client_id(self) -> int:
        """The connection's number."""
        reply: int = await self.execute("CLIENT", "ID")
        return reply

    async def client_getname(self) -> bytes | None:
        """The connection's name."""
        reply: bytes | None = await self.execute("CLIENT", "GETNAME")
        return reply

    async def client_setname(self, name: str) -> bytes:
        """Names the connection."""
        reply: bytes = await self.execute("CLIENT", "SETNAME", name)
        return reply

    async def client_list(self) -> bytes:
        """A line for each connection of the server."""
        reply: bytes = await self.execute("CLIENT", "LIST")
        return reply

    async def client_info(self) -> bytes:
        """The line of this connection."""
        reply: bytes = await self.execute("CLIENT", "INFO")
        return reply

    async def client_kill(self, *filters: Value) -> int | bytes:
        """Closes connections, chosen by an address or by filters such as "ID", 7."""
        reply: int | bytes = await self.execute("CLIENT", "KILL", *filters)
        return reply

    async def command_count(self) -> int:
        """How many commands the server has."""
        reply: int = await self.execute("COMMAND", "COUNT")
        return reply

    async def slowlog_get(self, count: int = 10) -> list[list[object]]:
        """The slowest commands noted last."""
        reply: list[list[object]] = await self.execute("SLOWLOG", "GET", count)
        return reply

    async def slowlog_len(self) -> int:
        """How many slow commands are noted."""
        reply: int = await self.execute("SLOWLOG", "LEN")
        return reply

    async def slowlog_reset(self) -> bytes:
        """Forgets the slow commands."""
        reply: bytes = await self.execute("SLOWLOG", "RESET")
        return reply

    async def latency_latest(self) -> list[list[object]]:
        """The latest latency spikes."""
        reply: list[list[object]] = await self.execute("LATENCY", "LATEST")
        return reply

    async def latency_reset(self, *events: str) -> int:
        """Forgets latency spikes; of how many kinds."""
        reply: int = await self.execute("LATENCY", "RESET", *events)
        return reply

    async def watch(self, *keys: Data) -> bytes:
        """Lets the connection's next EXEC do nothing if one of these keys changes before it."""
        reply: bytes = await self.execute("WATCH", *keys)
        return reply

    async def unwatch(self) -> bytes:
        """Ends the connection's watches."""
        reply: bytes = await self.execute("UNWATCH")
        return reply
