"""Nothing here is visible to Python: see executors.pxd."""
