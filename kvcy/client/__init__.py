"""Clients for kvcy and Redis servers: synchronous here, trio-native in kvcy.client.trio."""
