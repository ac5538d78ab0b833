"""Nothing here is visible to Python: see tinylfu.pxd."""
