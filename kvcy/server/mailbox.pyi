"""Nothing here is visible to Python: see mailbox.pxd."""
