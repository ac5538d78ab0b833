"""Nothing here is visible to Python: see snapshot_load.pxd."""
