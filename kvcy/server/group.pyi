"""Nothing here is visible to Python: see group.pxd."""
