"""What a replay takes beyond applying operations, whose outcome tests/test_snapshot.py looks at."""

from __future__ import annotations

import pytest

from kvcy._core import Store
from probes.replay_probe import copied_by_reserving


@pytest.mark.parametrize("keys", [40_000, 100_000])
def test_tables_are_not_copied_for_every_new_guess(keys: int) -> None:
    """How many keys the log holds is guessed from what was read of it, and each guess differs a little."""
    store = Store(shards=4, hash_key=bytes(16))
    assert 0 < copied_by_reserving(store, keys, 100) < keys
    assert len(store) == keys
