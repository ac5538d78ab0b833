"""The names of the eviction policies: see eviction.pxd."""

POLICIES: tuple[str, ...]
