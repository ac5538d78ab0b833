"""Nothing here is visible to Python: see queues.pxd."""
