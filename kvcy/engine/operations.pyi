"""Nothing here is visible to Python: see operations.pxd."""
