"""Nothing here is visible to Python: see output.pxd."""
