"""The exceptions of kvcy. All of them are KvcyErrors."""

from __future__ import annotations


class KvcyError(Exception):
    """What every exception of kvcy is."""


class ReplyError(KvcyError):
    """The server answered with an error: its text, as it came."""

    @property
    def code(self) -> str:
        """The first word, which names the kind of error: "ERR", "WRONGTYPE", "NOAUTH", ..."""
        return str(self).partition(" ")[0]


class ProtocolError(KvcyError):
    """The other side sent what the Redis protocol does not allow. The connection is of no further use."""


class StoreClosedError(KvcyError):
    """The embedded store has been closed."""


class ValueTooLargeError(KvcyError, ValueError):
    """A value may have at most 512 MB."""


class WrongTypeError(KvcyError, TypeError):
    """The key holds another type of value than the operation is for."""


class DirectoryError(KvcyError):
    """The data directory cannot be used."""


class DirectoryInUseError(DirectoryError):
    """Another process uses the data directory; the message names it."""


class ManifestError(DirectoryError):
    """The data directory's manifest is damaged, missing beside data, or of an unknown format."""


class DamagedError(KvcyError):
    """A file in the data directory is damaged; the message names it and the place in it."""


class LogError(KvcyError):
    """The log cannot make changes durable."""


class SaveStopped(KvcyError):
    """A snapshot was given up because the server ends, or another takes its place."""


class DumpError(KvcyError):
    """A file that is to be imported is damaged, or holds what kvcy cannot take; the message names the place in it."""
