"""Nothing here is visible to Python: see log_writer.pxd."""
