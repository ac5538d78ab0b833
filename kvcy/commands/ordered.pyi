"""Nothing here is visible to Python: see ordered.pxd."""
