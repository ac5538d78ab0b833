"""What can go wrong between a client and a server, besides the server's own error replies (kvcy.errors)."""

from __future__ import annotations

from kvcy.errors import KvcyError


class ConnectError(KvcyError):
    """The server could not be reached, or refused the handshake."""


class ConnectionLostError(KvcyError):
    """The connection broke during a call: whether the server carried it out is not known."""


class CallTimeoutError(KvcyError, TimeoutError):
    """The time for a call ran out: whether the server carried it out is not known."""


class TransactionAbortedError(KvcyError):
    """A watched key changed before EXEC: nothing of the transaction was carried out."""
