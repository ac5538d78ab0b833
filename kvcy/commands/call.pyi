"""Nothing here is visible to Python: see call.pxd."""
