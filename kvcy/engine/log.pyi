"""Nothing here is visible to Python: see log.pxd."""
