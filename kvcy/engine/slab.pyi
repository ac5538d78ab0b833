"""Nothing here is visible to Python: see slab.pxd."""
