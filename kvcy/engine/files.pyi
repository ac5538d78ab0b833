"""Nothing here is visible to Python: see files.pxd."""
