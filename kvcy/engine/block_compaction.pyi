"""Nothing here is visible to Python: see keyspace.pxd."""
