# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""commands/glob.pxd for the tests."""
from kvcy.commands.glob cimport glob_is_literal, glob_match


def match(bytes pattern, bytes text, bint ignore_case=False) -> bool:
    """Whether the whole text matches."""
    return glob_match(pattern, len(pattern), text, len(text), ignore_case)


def is_literal(bytes pattern) -> bool:
    """Whether only one text, the pattern itself, matches."""
    return glob_is_literal(pattern, len(pattern))
