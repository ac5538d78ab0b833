"""Nothing here is visible to Python: see unfinished.pxd."""
