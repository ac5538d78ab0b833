"""engine/pages.pyx: the pool of 64 KiB pages."""

from __future__ import annotations

from probes import arena_probe
from probes.arena_probe import PAGE, PoolProbe


def test_pages_are_distinct_aligned_and_zero() -> None:
    pool = PoolProbe()
    pages = [pool.take() for _ in range(200)]
    assert pool.bytes_used == 200 * PAGE
    pages.sort()
    assert pages[0] % 4096 == 0
    assert all(second - first >= PAGE for first, second in zip(pages, pages[1:], strict=False))
    for page in pages[:3]:
        assert arena_probe.page_is_zero(page)


def test_a_page_given_back_is_zero_again() -> None:
    pool = PoolProbe()
    page = pool.take()
    arena_probe.fill_page(page, 7)
    pool.give(page)
    assert pool.bytes_used == 0
    assert pool.take() == page
    assert arena_probe.page_is_zero(page)


def test_given_pages_are_taken_again() -> None:
    pool = PoolProbe()
    pages = {pool.take() for _ in range(300)}
    for turn in range(3):
        kept = sorted(pages)[turn :: turn + 2]
        given = pages - set(kept)
        for page in given:
            pool.give(page)
        assert pool.bytes_used == len(kept) * PAGE
        assert {pool.take() for _ in given} == given
    more = {pool.take() for _ in range(100)}
    assert not more & pages
    for page in pages | more:
        pool.give(page)
    assert pool.bytes_used == 0


def test_limit() -> None:
    pool = PoolProbe(3 * PAGE + 1)
    pages = [pool.take() for _ in range(3)]
    assert all(pages) and pool.take() == 0 and pool.bytes_used == 3 * PAGE
    pool.give(pages[1])
    assert pool.take() == pages[1]


def test_no_memory() -> None:
    pool = PoolProbe()
    for count in range(2):
        arena_probe.fail_after(count)
        try:
            assert pool.take() == 0 and pool.bytes_used == 0
        finally:
            arena_probe.fail_never()
    assert pool.take() != 0
