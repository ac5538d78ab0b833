"""The trio-native client: the same as kvcy.client's, with `await`.

async with kvcy.client.trio.Client("kvcy://localhost") as client:
    await client.set("greeting", "hello", ex=30)
"""

from kvcy.client._async.client import Client, Pipeline, Session

__all__ = ["Client", "Pipeline", "Session"]
