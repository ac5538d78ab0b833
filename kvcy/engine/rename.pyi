"""Nothing here is visible to Python: see rename.pxd."""
