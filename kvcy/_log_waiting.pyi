"""Nothing here is visible to Python: see _log_waiting.pxd."""
