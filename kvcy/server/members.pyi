"""Nothing here is visible to Python: see members.pxd."""
