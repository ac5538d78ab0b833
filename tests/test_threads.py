"""The engine under several native threads; the same runs show data races when built for ThreadSanitizer."""

from __future__ import annotations

import pytest

from probes import threads_probe


@pytest.mark.parametrize("lru_ordered", [True, False])
@pytest.mark.parametrize(("threads", "shards"), [(2, 1), (4, 8)])
def test_threads_see_whole_operations(threads: int, shards: int, lru_ordered: bool) -> None:
    faults, there, owned = threads_probe.play(threads, 20_000, seed=threads, shards=shards, lru_ordered=lru_ordered)
    assert faults == {}
    assert there == owned


def test_one_thread_alone_gives_the_same_twice() -> None:
    assert threads_probe.play(1, 5_000, seed=3) == threads_probe.play(1, 5_000, seed=3)
