"""Nothing here is visible to Python: see locking.pxd."""
