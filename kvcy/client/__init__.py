"""Clients for kvcy and Redis servers: synchronous here, trio-native in kvcy.client.trio.

from kvcy.client import Client

with Client("kvcy://localhost") as client:
    client.set("greeting", "hello", ex=30)
    client.get("greeting")
    client.pipeline(atomic=True).incr("visits").expire("visits", 60).run()
"""

from kvcy.client._sync.client import Client, Pipeline, Session
from kvcy.client.errors import CallTimeoutError, ConnectError, ConnectionLostError, TransactionAbortedError

__all__ = [
    "CallTimeoutError",
    "Client",
    "ConnectError",
    "ConnectionLostError",
    "Pipeline",
    "Session",
    "TransactionAbortedError",
]
