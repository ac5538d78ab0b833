"""Nothing here is visible to Python: see collector.pxd."""
