"""The short form of tests/soak.py; the long one: KVCY_SOAK_S=1200."""

from __future__ import annotations

import os

import pytest
from soak import FILES_MORE, LAST_PARTS, MEMORY_BYTES_MORE, WARM_UP_PARTS, Taken, grown, soak, unexpected

SECONDS = float(os.environ.get("KVCY_SOAK_S", "12"))


@pytest.mark.timeout(0)
def test_nothing_grows_and_nothing_fails() -> None:
    assert soak(SECONDS) == []


def test_what_has_grown_is_noticed() -> None:
    before = [Taken(100 << 20, 50, 20)] * WARM_UP_PARTS
    fine = Taken((100 << 20) + MEMORY_BYTES_MORE, 50 + FILES_MORE, 20)
    more = Taken(fine.memory_bytes + 1, fine.files + 1, 40)
    assert grown([*before, *[more] * (LAST_PARTS - 1), fine]) == []
    assert len(grown([*before, *[more] * LAST_PARTS])) == 3


def test_lines_that_tell_of_something_wrong_are_noticed() -> None:
    stamp = "12 2026-01-01 12:00:00.000 "
    fine = [stamp + "* Ready to accept connections\n", stamp + "# Received SIGTERM, shutting down\n"]
    bad = [stamp + "# The snapshot failed: no space\n", "Traceback (most recent call last):\n"]
    assert unexpected(fine + bad) == bad
