"""100,000 seeded random commands against kvcy-server and redis-server: no difference but the intended ones."""

from __future__ import annotations

from random import Random

import differential
import generators
import pytest


@pytest.mark.parametrize(("seed", "protocol"), [(21, b"2"), (22, b"3"), (23, b"2"), (24, b"3")])
def test_no_difference_in_25_000_commands(seed: int, protocol: bytes) -> None:
    commands = list(generators.mixed(Random(seed), 25_000, generators.EVERYTHING))
    with differential.both() as (ours, theirs):
        ours.run(b"HELLO", protocol)
        theirs.run([[b"HELLO", protocol]])
        found = next(differential.differences(ours, theirs, commands), None)
    assert found is None, f"seed {seed}: {found}"
