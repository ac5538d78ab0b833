"""Nothing here is visible to Python: see compaction.pxd."""
