"""Nothing here is visible to Python: see whole.pxd."""
