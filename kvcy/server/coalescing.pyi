"""Nothing here is visible to Python: see coalescing.pxd."""
