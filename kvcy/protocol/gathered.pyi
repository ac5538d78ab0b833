"""Nothing here is visible to Python: see gathered.pxd."""
