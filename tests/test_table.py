"""engine/table.pyx against a model: a sorted list of (bits, handle)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import table_probe
from probes.table_probe import TableProbe

TOP = 0xFFFFFFFF
IN_SLICES = 16  # slots above which a table of these tests grows in slices


@pytest.fixture(autouse=True)
def memory_works_afterwards() -> Iterator[None]:
    yield
    table_probe.fail_never()


def fill(table: TableProbe, bits: list[int]) -> None:
    """Add an entry for each of `bits`; the handles are 1, 2, ..."""
    for handle, value in enumerate(bits, 1):
        assert table.add(value, handle)


def random_bits(count: int, seed: int = 1) -> list[int]:
    source = random.Random(seed)
    return [source.getrandbits(32) for _ in range(count)]


def sorted_pairs(bits: list[int]) -> list[tuple[int, int]]:
    return sorted((value, handle) for handle, value in enumerate(bits, 1))


def test_empty() -> None:
    table = TableProbe()
    assert len(table) == 0 and table.size_bytes == 0
    assert table.find(0) == [] and table.find(TOP) == []
    assert table.walk() == [] and table.first_from(1 << 32) is None
    assert table.hint(7) is None and table.hint_handle(7) == 0
    assert not table.migrate(10)
    assert table.is_sound()


@pytest.mark.parametrize("sliced_above", [IN_SLICES, None])
def test_fills_and_empties(sliced_above: int | None) -> None:
    bits = random_bits(20_000)
    table = TableProbe(sliced_above)
    fill(table, bits)
    assert len(table) == len(bits) and table.is_sound()
    assert sorted(table.walk()) == sorted_pairs(bits)
    assert [pair[0] for pair in table.walk()] == sorted(bits)
    for handle, value in enumerate(bits, 1):
        assert handle in table.find(value)
        assert table.remove(value, handle)
    assert len(table) == 0 and table.is_sound()
    while table.migrate(1000):
        pass
    assert table.homes <= 4096 if sliced_above is None else table.homes <= 16


Step = tuple[str, int, int]
few_bits = st.one_of(
    st.integers(0, TOP),
    st.sampled_from([0, 1, 2, TOP - 1, TOP]),
    st.integers(0, 40).map(lambda i: i << 26),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), few_bits, st.integers(1, 60)),
        st.tuples(st.just("remove"), st.integers(0, 1 << 30), st.just(0)),
        st.tuples(st.just("from"), few_bits, st.just(0)),
        st.tuples(st.just("migrate"), st.integers(1, 20), st.just(0)),
    ),
    max_size=120,
)


@settings(max_examples=examples(200), deadline=None)
@given(steps=steps, sliced_above=st.sampled_from([0, IN_SLICES, 100, 1 << 20]), reserve=st.integers(0, 300))
def test_is_a_sorted_list(steps: list[Step], sliced_above: int, reserve: int) -> None:
    table = TableProbe(sliced_above)
    if reserve:
        assert table.reserve_all(reserve)
    model: list[tuple[int, int]] = []
    for handle, (action, number, repeat) in enumerate(steps, 1):
        if action == "add":
            for i in range(repeat):
                pair = ((number + i % 3) & TOP, handle * 64 + i)
                assert table.add(*pair)
                model.append(pair)
        elif action == "remove":
            for _ in range(min(25, len(model))):
                assert table.remove(*model.pop(number % len(model)))
        elif action == "from":
            found = table.first_from(number)
            rest = [pair for pair in model if pair[0] >= number]
            assert (found is None) == (not rest)
            if found is not None:
                assert found in rest and found[0] == min(rest)[0]
        else:
            table.migrate(number)
        assert table.is_sound()
        assert len(table) == len(model)
    assert sorted(table.walk()) == sorted(model)
    for value in {pair[0] for pair in model}:
        assert sorted(table.find(value)) == sorted(pair[1] for pair in model if pair[0] == value)


@pytest.mark.parametrize("value", [0, 1 << 31, TOP])
@pytest.mark.parametrize("sliced_above", [0, IN_SLICES, 1 << 20])
def test_all_bits_equal(value: int, sliced_above: int) -> None:
    table = TableProbe(sliced_above)
    fill(table, [value] * 1000)
    assert table.is_sound()
    assert sorted(table.find(value)) == list(range(1, 1001))
    assert table.find(value ^ 1) == []
    for handle in range(1, 1001):
        assert table.remove(value, handle)
        assert table.is_sound()
    assert len(table) == 0


def test_walk_from_anywhere_during_growth() -> None:
    bits = random_bits(3000)
    table = TableProbe(IN_SLICES)
    cut_while_growing = 0
    for handle, value in enumerate(bits, 1):
        assert table.add(value, handle)
        if table.growing and handle % 10 == 0:
            cut_while_growing += 1
            start = bits[handle // 2]
            assert table.walk(start) == [pair for pair in table.walk() if pair[0] >= start]
            assert [pair[0] for pair in table.walk()] == sorted(bits[:handle])
    assert cut_while_growing > 10


def test_a_growth_in_slices_ends_before_the_table_is_full() -> None:
    table = TableProbe(IN_SLICES)
    ended = 0
    growing = False
    for handle, value in enumerate(random_bits(50_000), 1):
        assert table.add(value, handle)
        if growing and not table.growing:
            ended += 1
            assert len(table) < 0.875 * table.homes
        growing = table.growing
    assert ended > 10


def test_a_slice_moves_no_more_than_it_is_told() -> None:
    table = TableProbe(IN_SLICES)
    handle = 0
    while not (table.growing and table.homes > 5000):
        handle += 1
        assert table.add((handle * 2654435761) & TOP, handle)
    turns = 1
    while table.migrate(16):
        turns += 1
    assert turns > 200 and not table.growing and table.is_sound()


def test_memory_a_key() -> None:
    table = TableProbe()
    for handle, value in enumerate(random_bits(200_000), 1):
        assert table.add(value, handle)
        if handle > 5000 and not table.growing:
            assert table.size_bytes <= handle * 8 / 0.695 + 2048
    assert table.is_sound()


def test_probe_counts() -> None:
    """At 7/8 full a search looks at a handful of slots: (1 + 1 / (1 - 7/8)) / 2 = 4.5 on average, in theory."""
    table = TableProbe()
    assert table.reserve_all(30_000)
    homes = table.homes
    bits = random_bits(30_000)
    fill(table, bits)
    assert table.homes == homes
    displacements = [table.displacement(value) for value in bits]
    assert min(displacements) == 0
    assert sum(displacements) / len(bits) < 5
    assert max(displacements) < 128


def test_shrinks_when_emptied() -> None:
    bits = random_bits(40_000)
    table = TableProbe()
    fill(table, bits)
    full = table.size_bytes
    for handle, value in enumerate(bits[:39_000], 1):
        assert table.remove(value, handle)
    while table.migrate(1000):
        pass
    assert table.size_bytes < full / 8
    assert table.is_sound()
    assert sorted(table.walk()) == sorted((value, handle) for handle, value in enumerate(bits, 1) if handle > 39_000)


def test_reserve_all_sizes_once() -> None:
    table = TableProbe()
    assert table.reserve_all(100_000)
    homes = table.homes
    fill(table, random_bits(100_000))
    assert table.homes == homes and not table.growing
    assert homes < 100_000 * 8 / 7 + 2


def test_reserve_all_keeps_what_is_there() -> None:
    bits = random_bits(1000)
    table = TableProbe(IN_SLICES)
    fill(table, bits)
    assert table.reserve_all(5000)
    assert not table.growing and table.is_sound()
    assert sorted(table.walk()) == sorted_pairs(bits)


@pytest.mark.parametrize("bits", [random_bits(5000), [7] * 5000, [TOP] * 5000, list(range(0, 5000, 3))])
def test_appending_in_order(bits: list[int]) -> None:
    """Until there is no room, as at the end of the array where bits are equal; then adding goes on, and appending."""
    table = TableProbe()
    pairs = sorted_pairs(bits)
    assert table.append(pairs) == 0  # nothing was reserved
    assert table.reserve_all(len(bits))
    done = 0
    while done < len(bits):
        done += table.append(pairs[done:])
        assert table.is_sound() and len(table) == done
        if done < len(bits):
            assert table.add(*pairs[done])
            done += 1
    assert sorted(table.walk()) == pairs
    assert [pair[0] for pair in table.walk()] == sorted(bits)


def test_appending_to_what_is_there_already() -> None:
    table = TableProbe()
    fill(table, list(range(0, 100_000, 100)))
    assert table.reserve_all(2000)
    assert table.append([(bits, bits) for bits in range(99_900, 150_000, 100)]) == 501
    assert table.is_sound() and len(table) == 1501


def test_nothing_is_appended_while_slots_are_moved() -> None:
    table = TableProbe(IN_SLICES)
    handle = 1
    while not table.growing:
        assert table.add(handle, handle)
        handle += 1
    assert table.append([(TOP, handle)]) == 0


def test_too_much_is_given_back() -> None:
    bits = random_bits(3000)
    table = TableProbe()
    fill(table, bits)
    assert table.reserve_all(100_000)
    table_probe.fail_after(0)
    before = table.homes
    table.trim()
    assert table.homes == before
    table_probe.fail_never()
    table.trim()
    assert table.homes < 1.3 * len(bits) and table.is_sound()
    assert sorted(table.walk()) == sorted_pairs(bits)
    before = table.homes
    table.trim()
    assert table.homes == before


def test_handle_can_be_changed() -> None:
    table = TableProbe()
    fill(table, [5, 5, 9])
    table.set_handle(5, 2, 77)
    assert sorted(table.find(5)) == [1, 77] and table.find(9) == [3]


def test_hints_find_the_home() -> None:
    bits = random_bits(20_000)
    table = TableProbe(IN_SLICES)
    fill(table, bits)
    while table.migrate(1000):
        pass
    for value in bits[:1000]:
        place, inside = table.hint(value)
        assert inside and place == value * table.homes >> 32
    seen = sum(table.hint_handle(value) == table.find(value)[0] for value in bits)
    assert seen > 0.85 * len(bits)
    missing = [value for value in random_bits(1000, seed=2) if not table.find(value)]
    assert not any(table.hint_handle(value) for value in missing)


def test_hints_are_inside_an_array_during_growth() -> None:
    table = TableProbe(IN_SLICES)
    bits = random_bits(3000)
    for handle, value in enumerate(bits, 1):
        assert table.add(value, handle)
        assert table.hint(bits[handle // 2])[1]
        assert table.hint_handle(bits[handle // 2]) in (0, *table.find(bits[handle // 2]))


@pytest.mark.parametrize("sliced_above", [0, IN_SLICES, 1 << 20])
def test_no_memory_changes_nothing(sliced_above: int) -> None:
    """Memory fails each time; what was promised holds, and the table goes on when there is memory again."""
    table = TableProbe(sliced_above)
    model: list[tuple[int, int]] = []
    refused = 0
    for handle, value in enumerate(random_bits(2000), 1):
        table_probe.fail_after(0)
        if table.add(value, handle):
            model.append((value, handle))
        else:
            refused += 1
            assert table.is_sound() and sorted(table.walk()) == sorted(model)
            if refused % 3 == 0:
                assert model == [] or table.remove(*model.pop())
            table_probe.fail_never()
            assert table.add(value, handle)
            model.append((value, handle))
    assert refused > 5
    table_probe.fail_after(0)
    while model:
        assert table.remove(*model.pop())
    assert len(table) == 0 and table.is_sound()


def test_no_memory_for_the_tail_of_equal_bits() -> None:
    table = TableProbe(IN_SLICES)
    refused = 0
    handles: list[int] = []
    for handle in range(1, 400):
        table_probe.fail_after(0)
        if not table.add(TOP, handle):
            refused += 1
            table_probe.fail_never()
            assert table.add(TOP, handle)
        handles.append(handle)
        assert table.is_sound()
    assert refused > 5
    assert sorted(table.find(TOP)) == handles


def test_reserve_all_without_memory() -> None:
    table = TableProbe()
    fill(table, [1, 2, 3])
    table_probe.fail_after(0)
    assert not table.reserve_all(1 << 20)
    assert not table.reserve_all(1 << 40)
    assert table.walk() == [(1, 1), (2, 2), (3, 3)]


def test_replaced_arrays_are_freed() -> None:
    table_probe.reclaim()
    before = table_probe.array_bytes()
    table = TableProbe(IN_SLICES)
    fill(table, random_bits(10_000))
    assert table_probe.array_bytes() - before == table.size_bytes
    del table
    assert table_probe.array_bytes() == before
