"""Nothing here is visible to Python: see snapshot.pxd."""
