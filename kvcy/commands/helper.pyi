"""Nothing here is visible to Python: see batch.pxd."""
