"""Nothing here is visible to Python: see helper.pxd."""
