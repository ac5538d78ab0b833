"""Nothing here is visible to Python: see watchlist.pxd."""
