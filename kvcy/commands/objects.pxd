# cython: language_level=3
"""How Redis would keep a value, for the commands that show it."""
from kvcy.engine.entry cimport Entry

cdef const char* encoding_name(const Entry* entry) noexcept nogil      # "int", "embstr" or "raw"
