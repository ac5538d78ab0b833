"""Which reactor gives connections to which."""

from __future__ import annotations

import pytest

from kvcy.server.balancing import Load, Move, choose


@pytest.mark.parametrize(
    ("loads", "move"),
    [
        ([Load(1.0, 16), Load(0.1, 16)], Move(0, 1, 2)),
        ([Load(0.2, 1), Load(0.95, 40), Load(0.1, 90)], Move(1, 2, 5)),
        ([Load(0.92, 2), Load(0.6, 0)], Move(0, 1, 1)),
        ([Load(0.92, 2), Load(0.7, 0)], None),  # both have much to do
        ([Load(0.8, 50), Load(0.0, 0)], None),  # nobody has too much
        ([Load(1.0, 1), Load(0.0, 0)], None),  # it would only change its place
        ([Load(1.0, 50)], None),
    ],
)
def test_the_busiest_gives_to_the_least_busy(loads: list[Load], move: Move | None) -> None:
    assert choose(loads) == move
