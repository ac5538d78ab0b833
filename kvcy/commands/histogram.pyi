"""Nothing here is visible to Python: see histogram.pxd."""
