"""Nothing here is visible to Python: see holdings.pxd."""
