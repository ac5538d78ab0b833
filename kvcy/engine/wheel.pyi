"""Nothing here is visible to Python: see wheel.pxd."""
