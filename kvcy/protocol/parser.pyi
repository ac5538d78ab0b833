"""Nothing here is visible to Python: see parser.pxd."""
