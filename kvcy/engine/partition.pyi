"""Nothing here is visible to Python: see partition.pxd."""
