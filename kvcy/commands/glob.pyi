"""Nothing here is visible to Python: see glob.pxd."""
