"""Nothing here is visible to Python: see policy.pxd."""
