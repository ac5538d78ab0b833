"""Nothing here is visible to Python: see journal.pxd."""
