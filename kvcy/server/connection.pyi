"""Nothing here is visible to Python: see connection.pxd."""
