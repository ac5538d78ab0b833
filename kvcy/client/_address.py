"""Where a server is and how to log in, from a URL.

kvcy://[[user]:password@]host[:port][/database]      also redis://
kvcys://...                                          the same over TLS, also rediss://
unix://[[user]:password@]/path/to/socket[?db=N]
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

PLAIN = ("kvcy", "redis")
SECURE = ("kvcys", "rediss")
DEFAULT_PORT = 6379


@dataclass(frozen=True)
class Address:
    """A server's address with what its handshake needs; `path` is that of a Unix socket, else None."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    path: str | None = None
    tls: bool = False
    user: str | None = None
    password: str | None = None
    database: int = 0

    def __str__(self) -> str:
        return self.path if self.path is not None else f"{self.host}:{self.port}"


def parse_url(url: str) -> Address:
    """Reads a URL in one of the forms above.

    Raises:
        ValueError: it is in none of them; the message says what is wrong, and never holds the password.
    """
    parts = urlsplit(url)
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("a unix:// URL needs the path of the socket")
        database = parse_qs(parts.query).get("db", ["0"])[-1]
        return Address(path=unquote(parts.path), user=user, password=password, database=_database(database))
    if parts.scheme not in PLAIN + SECURE:
        known = "kvcy://, kvcys://, redis://, rediss:// or unix://"
        raise ValueError(f"a server's URL starts with {known}, not {parts.scheme or url[:12]!r}")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("the port of a server's URL must be a number up to 65535") from None
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=port,
        tls=parts.scheme in SECURE,
        user=user,
        password=password,
        database=_database(parts.path.strip("/") or "0"),
    )


def _database(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"the database in a server's URL must be a number, not {text!r}")
    return int(text)
