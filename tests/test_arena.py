"""engine/arena.pyx: cells named by 32-bit handles, in pages of one size class."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import arena_probe
from probes.arena_probe import BYTES_MAX, CLASS_BYTES, PAGE, ArenaProbe


@pytest.fixture(autouse=True)
def memory_works_afterwards() -> Iterator[None]:
    yield
    arena_probe.fail_never()


def test_classes() -> None:
    assert CLASS_BYTES[:16] == list(range(8, 129, 8))
    assert CLASS_BYTES[-1] == BYTES_MAX
    assert all(size % 8 == 0 for size in CLASS_BYTES)
    assert sorted(set(CLASS_BYTES)) == CLASS_BYTES
    assert [PAGE // size for size in CLASS_BYTES if size > 1024] == list(range(63, 30, -2))
    assert all(PAGE % size <= 0.01 * PAGE for size in CLASS_BYTES)


def test_every_size_gets_the_smallest_cell_that_holds_it() -> None:
    arena = ArenaProbe()
    for size in range(1, BYTES_MAX + 1):
        handle = arena.alloc(size)
        room = arena.room(handle)
        assert room == min(cell for cell in CLASS_BYTES if cell >= size)
        assert room - size < 8 or (room - size) <= (0.125 if size <= 1024 else 0.061) * room
        arena.free(handle)


def test_an_empty_arena_takes_nothing() -> None:
    arena = ArenaProbe()
    assert (arena.used_bytes, arena.page_bytes, arena.pool_bytes) == (0, 0, 0)
    assert arena.sparse_page(0) == 0 and not arena.has_page(0) and not arena.has_page(1)
    assert arena.hint(1 << 13) == 0
    arena.clear()
    assert arena.page_bytes == 0


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 1 << 30), sizes=st.lists(st.integers(1, BYTES_MAX), min_size=1, max_size=4))
def test_cells_do_not_overlap(seed: int, sizes: list[int]) -> None:
    source = random.Random(seed)
    arena = ArenaProbe()
    cells: dict[int, bytes] = {}
    used_bytes = 0
    for step in range(400):
        if cells and source.random() < 0.4 + 0.2 * (step // 100 % 2):
            handle = source.choice(list(cells))
            content = cells.pop(handle)
            assert arena.read(handle, len(content)) == content
            used_bytes -= arena.room(handle)
            arena.free(handle)
        else:
            size = source.choice(sizes)
            handle = arena.alloc(size)
            assert handle != 0 and handle not in cells
            cells[handle] = source.randbytes(size)
            arena.write(handle, cells[handle])
            used_bytes += arena.room(handle)
        assert arena.used_bytes == used_bytes
        assert arena.page_bytes >= used_bytes
    for handle, content in cells.items():
        assert arena.read(handle, len(content)) == content
        assert arena.address(handle) == arena.hint(handle)
        arena.free(handle)
    assert arena.used_bytes == 0
    assert arena.pages <= len(sizes)


@pytest.mark.parametrize("size", [8, 64, 80, 144, 1040, 2112])
def test_memory_is_taken_as_it_is_touched(size: int) -> None:
    arena = ArenaProbe()
    cells = 3 * (PAGE // size)
    directory = 0
    for count in range(1, cells + 1):
        assert arena.alloc(size)
        if count == 1:
            directory = arena.page_bytes - 4096
            assert 0 < directory < 300
        whole, rest = divmod(count, PAGE // size)
        touched = whole * -(-(PAGE // size * size) // 4096) + -(-rest * size // 4096)
        assert arena.page_bytes == directory + touched * 4096
    assert arena.pages == 3 and arena.pool_bytes == 3 * PAGE


@pytest.mark.parametrize("size", [8, 24, 64, 72, 144, 2112])
def test_a_run_is_what_is_resident_anyway(size: int) -> None:
    arena, cells = ArenaProbe(), ArenaProbe()
    taken: list[int] = []
    while arena.pages < 3:
        run = arena.alloc_run(size)
        assert len({handle >> 13 for handle in run}) == 1
        assert cells.alloc(size)
        assert arena.page_bytes == cells.page_bytes
        for _ in run[1:]:
            assert cells.alloc(size)
        assert arena.page_bytes == cells.page_bytes
        taken += run
    assert len(set(taken)) == len(taken) and arena.used_bytes == len(taken) * arena.room(taken[0])
    for handle in taken:
        arena.free(handle)
    assert arena.used_bytes == 0


def test_a_run_uses_freed_cells_first_and_needs_memory() -> None:
    arena = ArenaProbe(PAGE)
    run = arena.alloc_run(64)
    assert len(run) == 64
    arena.free(run[5])
    assert arena.alloc_run(60) == [run[5]]
    assert arena.alloc_run(200) == []


def test_freed_cells_are_used_again_first() -> None:
    arena = ArenaProbe()
    handles = [arena.alloc(64) for _ in range(100)]
    for handle in handles[10:20]:
        arena.free(handle)
    assert {arena.alloc(64) for _ in range(10)} == set(handles[10:20])
    assert arena.alloc(64) not in handles


def test_emptied_pages_go_back() -> None:
    arena = ArenaProbe()
    handles = [arena.alloc(64) for _ in range(10 * 1024)]
    assert arena.pool_bytes == 10 * PAGE
    random.Random(1).shuffle(handles)
    for handle in handles:
        arena.free(handle)
    assert arena.pages == 0 and arena.pool_bytes == 0
    assert arena.used_bytes == 0 and arena.page_bytes < 1000
    handle = arena.alloc(64)
    assert handle >> 13 <= 10


def test_a_single_key_set_and_deleted_keeps_its_page() -> None:
    arena = ArenaProbe()
    first = arena.alloc(64)
    arena.free(first)
    assert arena.pages == 1 and arena.used_bytes == 0
    assert arena.alloc(64) == first
    arena.free(first)
    arena.clear()
    assert arena.pages == 0 and arena.pool_bytes == 0


def test_clear_with_cells_in_use() -> None:
    before = arena_probe.array_bytes()
    arena = ArenaProbe()
    for size in range(8, BYTES_MAX, 8):
        assert arena.alloc(size)
    arena.clear()
    assert (arena.used_bytes, arena.page_bytes, arena.pool_bytes, arena.pages) == (0, 0, 0, 0)
    assert arena.alloc(100)
    del arena
    arena_probe.reclaim()
    assert arena_probe.array_bytes() == before


def test_limit() -> None:
    arena = ArenaProbe(2 * PAGE)
    handles = [arena.alloc(1024) for _ in range(128)]
    assert all(handles) and arena.alloc(1024) == 0 and arena.alloc(8) == 0
    assert arena.used_bytes == 128 * 1024
    for handle in handles[::2]:
        arena.free(handle)
    assert arena.alloc(1024) in handles


def test_no_memory_changes_nothing() -> None:
    arena = ArenaProbe()
    handles: list[int] = []
    refused = 0
    while len(handles) < 200:
        for count in range(4):
            arena_probe.fail_after(count)
            before = (arena.used_bytes, arena.pages, arena.pool_bytes)
            handle = arena.alloc(2112)
            if handle:
                handles.append(handle)
                break
            refused += 1
            assert (arena.used_bytes, arena.pages, arena.pool_bytes) == before
    assert refused >= 3
    assert len(set(handles)) == 200 and arena.used_bytes == 200 * 2112


def test_no_hint_for_a_page_that_is_gone() -> None:
    arena = ArenaProbe()
    first = [arena.alloc(2112) for _ in range(31)]
    other = arena.alloc(2112)
    assert arena.hint(other) == arena.address(other)
    for handle in first:
        arena.free(handle)
    assert arena.hint(first[0]) == 0
    assert arena.hint((1 << 32) - 1) == 0


# --- compaction


def size_class(size: int) -> int:
    return CLASS_BYTES.index(size)


def test_sparse_page_is_found_and_evacuated() -> None:
    arena = ArenaProbe()
    per_page = PAGE // 128
    handles = [arena.alloc(128) for _ in range(4 * per_page)]
    assert arena.sparse_page(size_class(128)) == 0
    second = [handle for handle in handles if handle >> 13 == handles[per_page] >> 13]
    assert len(second) == per_page
    for handle in second[: per_page - 10]:
        arena.free(handle)
    assert arena.sparse_page(size_class(128)) == 0, "no other page has room"
    for handle in handles[:20]:
        arena.free(handle)
    page = arena.sparse_page(size_class(128))
    assert page == second[0] >> 13
    assert sorted(arena.used_handles(page)) == sorted(second[per_page - 10 :])
    arena.evacuate(page)
    for handle in second[per_page - 10 :]:
        assert arena.alloc(128) >> 13 == handles[0] >> 13
        assert arena.has_page(page)
        arena.free(handle)
    assert not arena.has_page(page) and arena.pages == 3
    arena.evacuate_end(page)
    assert not arena.has_page(page)


def test_evacuation_can_be_given_up() -> None:
    arena = ArenaProbe()
    handles = [arena.alloc(512) for _ in range(256)]
    first_page = handles[0] >> 13
    for handle in handles[:100] + handles[128:148]:
        arena.free(handle)
    assert arena.sparse_page(size_class(512)) == first_page
    arena.evacuate(first_page)
    taken = {arena.alloc(512) >> 13 for _ in range(20)}
    assert taken == {handles[128] >> 13}
    arena.evacuate_end(first_page)
    assert arena.alloc(512) >> 13 == first_page


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 1 << 30), size=st.sampled_from([8, 72, 160, 1040]))
def test_compacting_until_nothing_is_sparse(seed: int, size: int) -> None:
    """What partition_compact does: afterwards one page more than needed is left at most, however many were freed."""
    source = random.Random(seed)
    arena = ArenaProbe()
    handles = {arena.alloc(size) for _ in range(6 * (PAGE // size))}
    for handle in source.sample(sorted(handles), len(handles) * source.randint(1, 9) // 10):
        arena.free(handle)
        handles.remove(handle)
    while page := arena.sparse_page(size_class(size)):
        arena.evacuate(page)
        for handle in arena.used_handles(page):
            assert handle in handles
            handles.remove(handle)
            handles.add(arena.alloc(size))
            arena.free(handle)
        assert not arena.has_page(page)
        arena.evacuate_end(page)
    assert arena.used_bytes == len(handles) * size
    assert {handle for page in {h >> 13 for h in handles} for handle in arena.used_handles(page)} == handles
    assert arena.pages <= -(-len(handles) // (PAGE // size)) + 1
