"""Nothing here is visible to Python: see log_sleep.pxd."""
