"""Nothing here is visible to Python: see writer.pxd."""
