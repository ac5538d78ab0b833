# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""SipHash-1-3. All of it is inline in hash.pxd; here only what must hold for it is checked, when it is compiled."""

cdef extern from *:
    """
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "kvcy is written for little-endian processors");
    _Static_assert(sizeof(size_t) == 8, "kvcy is written for 64-bit processors");
    """
