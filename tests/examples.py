"""How many examples a test of properties tries."""

from __future__ import annotations

import os

BOUND = int(os.environ.get("KVCY_EXAMPLES_MAX", "1000000"))


def examples(wanted: int) -> int:
    """As many as are wanted, or as KVCY_EXAMPLES_MAX allows, where each takes very long (valgrind)."""
    return min(wanted, BOUND)
