"""Nothing here is visible to Python: see puts.pxd."""
