"""Nothing here is visible to Python: see fork.pxd."""
