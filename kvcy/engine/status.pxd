# cython: language_level=3
"""What an engine operation answers. No engine function raises: it returns one of these, or a pointer."""

cdef enum Status:
    OK = 0
    NOT_FOUND      # the key (or source key) does not exist
    EXISTS         # the target key exists and may not be replaced
    NO_MEMORY      # an allocation failed or the memory limit was reached; nothing was changed
    WRONG_TYPE     # the key holds another type of value
    TOO_LARGE      # the value would pass 512 MB
