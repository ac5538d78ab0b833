"""Nothing here is visible to Python: see tails.pxd."""
