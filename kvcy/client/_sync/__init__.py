"""The synchronous client. All but `stream` is made from `kvcy.client._async` by tools/generate_sync_client.py."""
