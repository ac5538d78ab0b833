"""Nothing here is visible to Python: see words.pxd."""
