"""Nothing here is visible to Python: see ranging.pxd."""
