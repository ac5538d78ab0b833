"""Nothing here is visible to Python: see shards.pxd."""
