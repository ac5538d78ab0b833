"""Nothing here is visible to Python: see kept.pxd."""
