"""Nothing here is visible to Python: see sieve.pxd."""
