"""Nothing here is visible to Python: see ordered_sort.pxd."""
