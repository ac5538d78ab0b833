"""Nothing here is visible to Python: see node.pxd."""
