"""Nothing here is visible to Python: see watch.pxd."""
