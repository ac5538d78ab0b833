"""Nothing here is visible to Python: see waiting.pxd."""
