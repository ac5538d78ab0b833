"""Nothing here is visible to Python: see arguments.pxd."""
