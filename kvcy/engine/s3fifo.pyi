"""Nothing here is visible to Python: see s3fifo.pxd."""
