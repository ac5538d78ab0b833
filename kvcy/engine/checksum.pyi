"""Nothing here is visible to Python: see checksum.pxd."""
