"""Nothing here is visible to Python: see replay_stream.pxd."""
