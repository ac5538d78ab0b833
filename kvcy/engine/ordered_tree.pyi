"""Nothing here is visible to Python: see ordered_tree.pxd."""
