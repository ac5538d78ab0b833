"""Nothing here is visible to Python: see coverage.pxd."""
