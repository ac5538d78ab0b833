"""Nothing here is visible to Python: see sampling.pxd."""
