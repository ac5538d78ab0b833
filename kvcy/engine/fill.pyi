"""Nothing here is visible to Python: see fill.pxd."""
