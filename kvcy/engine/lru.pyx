# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The intrusive LRU list. All of it is inline in lru.pxd; here only what must hold for it is checked."""
from kvcy.engine.entry cimport ENTRY_HEADER_BYTES, Entry

if sizeof(Entry) != ENTRY_HEADER_BYTES:
    raise ImportError("kvcy.engine: an entry's header has not the size its format says")
