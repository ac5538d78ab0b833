"""Nothing here is visible to Python: see replay.pxd."""
