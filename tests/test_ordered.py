"""engine/ordered.pxd against sortedcontainers' SortedSet of the same keys."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sortedcontainers import SortedSet

from probes.ordered_probe import OrderedProbe

WHOLE = ("lowest", b"")
END = ("highest", b"")
LEAF_MAX = 120
PAGE_NODES = 64
BUFFERED_MAX = 512 + 16 * 544
PREFIXES = [b"", b"a", b"user:", b"user:\xff", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"p" * 51, b"p" * 52, b"p" * 60]
PREFIXES += [b"q" * 1020, b"q" * 1021, b"q" * 3000, b"", b"p" * 8, b"p" * 12, b"p" * 13, b"\0" * 12, b"\xff" * 13]

prefixes = st.sampled_from(PREFIXES)
tails = st.one_of(
    st.binary(max_size=6),
    st.text("ab\0\xff", max_size=8).map(lambda text: text.encode("latin-1")),
    st.integers(0, 10**13).map(lambda number: b"%d" % number),
    st.text("0129/:@", min_size=6, max_size=12).map(str.encode),
)
keys = st.builds(bytes.__add__, prefixes, tails)
runs = st.tuples(
    prefixes, st.integers(0, 3), st.integers(1, 400), st.sampled_from([1, 7, 255, 256, 65537]), st.booleans()
)
orders = st.sampled_from(["rising", "falling", "mixed"])
bounds = st.one_of(
    st.just(WHOLE), st.just(END), st.tuples(st.sampled_from(["[", "("]), st.one_of(keys, st.integers(0, 10_000)))
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), keys),
        st.tuples(st.just("run"), runs, orders),
        st.tuples(st.just("run"), runs, orders),
        st.tuples(st.just("remove"), st.integers(0, 10_000)),
        st.tuples(st.just("thin"), st.integers(2, 5), orders),
        st.tuples(st.just("clear"), st.integers(0, 10_000), st.integers(0, 600), orders),
        st.tuples(st.just("move"), st.integers(0, 10_000)),
        st.tuples(st.just("move buffered"), orders),
        st.tuples(st.just("remove buffered"), st.integers(1, 5), orders),
        st.tuples(st.just("make room")),
        st.tuples(st.just("range"), bounds, bounds),
    ),
    max_size=25,
)


def expected(model: SortedSet, low: tuple[str, bytes], high: tuple[str, bytes]) -> list[bytes]:
    """What a range of the model holds."""
    if low[0] == "highest" or high[0] == "lowest":
        return []
    first = None if low[0] == "lowest" else low[1]
    last = None if high[0] == "highest" else high[1]
    return list(model.irange(first, last, inclusive=(low[0] == "[", high[0] == "[")))


class Run:
    """An index and what should be in it."""

    def __init__(self) -> None:
        self.index = OrderedProbe()
        self.model: SortedSet = SortedSet()

    def insert(self, key: bytes) -> None:
        if key not in self.model:
            self.model.add(key)
            assert self.index.insert(key)

    def remove(self, chosen: Iterable[bytes]) -> None:
        for key in chosen:
            self.model.remove(key)
            self.index.remove(key)

    def bound(self, which: tuple[str, bytes | int]) -> tuple[str, bytes]:
        edge, key = which
        if isinstance(key, int):
            key = self.model[key % len(self.model)] if self.model else b""
        return edge, key

    def check_range(self, low: tuple[str, bytes], high: tuple[str, bytes]) -> None:
        wanted = expected(self.model, low, high)
        assert self.index.walk(low, high, False) == wanted
        assert self.index.walk(low, high, True) == wanted[::-1]
        assert self.index.count(low, high, 1) == self.index.count(low, high, 1000) == len(wanted)

    def step(self, action: str, *arguments) -> None:
        if action == "insert":
            self.insert(arguments[0])
        elif action == "run":
            (prefix, width, count, stride, decimal), order = arguments
            made = [prefix + number_bytes(number * stride, width, decimal) for number in range(count)]
            for key in in_order(made, order):
                self.insert(key)
        elif action == "remove" and self.model:
            self.remove([self.model[arguments[0] % len(self.model)]])
        elif action == "thin":
            every, order = arguments
            self.remove(in_order([key for at, key in enumerate(self.model) if at % every], order))
        elif action == "clear" and self.model:
            first, count, order = arguments
            first %= len(self.model)
            self.remove(in_order(list(self.model[first : first + count]), order))
        elif action == "move" and self.model:
            self.index.move(self.model[arguments[0] % len(self.model)])
        elif action == "move buffered":
            for key in in_order(self.index.buffered(), arguments[0]):
                self.index.move(key)
        elif action == "remove buffered":
            every, order = arguments
            self.remove(in_order(self.index.buffered()[::every], order))
        elif action == "make room":
            self.index.make_room()
        elif action == "range":
            self.check_range(self.bound(arguments[0]), self.bound(arguments[1]))


def number_bytes(number: int, width: int, decimal: bool) -> bytes:
    return b"%0*d" % (6 + 2 * width, number) if decimal else number.to_bytes(width + 4, "big")


def in_order(made: list[bytes], order: str) -> list[bytes]:
    if order == "mixed":
        Random(len(made)).shuffle(made)
    return made[::-1] if order == "falling" else made


@given(steps)
@settings(max_examples=examples(150))
def test_the_index_agrees_with_a_sorted_set(actions: list[tuple]) -> None:
    run = Run()
    for action in actions:
        run.step(*action)
        run.index.check()
    run.check_range(WHOLE, END)
    run.remove(in_order(list(run.model), "mixed"))
    run.index.check()
    assert run.index.walk(WHOLE, END, False) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_three_levels_grows_and_shrinks(seed: int) -> None:
    draw = Random(seed)
    run = Run()
    for _ in range(15_000):
        run.insert(b"key:%012d" % draw.randrange(10**9))
    run.index.check()
    assert run.index.height() == 3
    for _ in range(200):
        ends = sorted(b"key:%012d" % draw.randrange(10**9) for _ in range(2))
        run.check_range((draw.choice("[("), ends[0]), (draw.choice("[("), ends[1]))
    for key in draw.sample(list(run.model), 5000):
        run.index.move(key)
    run.index.check()
    remaining = list(run.model)
    draw.shuffle(remaining)
    while remaining:
        run.remove(remaining[:3000])
        del remaining[:3000]
        run.index.check()
    assert run.index.height() == 1


@pytest.mark.parametrize("order", ["rising", "falling", "mixed"])
@pytest.mark.parametrize("others", [[], [b"key:", b"key;"]], ids=["alone", "between others"])
def test_what_a_key_costs(others: list[bytes], order: str) -> None:
    run = Run()
    made = in_order([b"key:%012d" % (number * 977) for number in range(30_000)], order)
    for key in others + made:
        run.insert(key)
    assert run.index.memory_bytes() / len(made) <= 16


def test_words_of_digits_do_with_other_keys() -> None:
    draw = Random(1)
    run = Run()
    for _ in range(15_000):
        run.insert(b"key:%012d" % draw.randrange(10**9))
    before = run.index.digit_leaves()
    assert before > 100
    for _ in range(3000):
        key = b"key:%012d" % draw.randrange(10**9)
        run.insert(key[: draw.randrange(4, 16)] + draw.choice([b"", b"\0", b"/", b":", b"?", b"@", b"\xff", b"7"]))
    run.index.check()
    assert run.index.digit_leaves() < before
    for _ in range(300):
        some = [draw.choice(run.model)[: draw.randrange(4, 17)] for _ in range(2)]
        ends = sorted(key + draw.choice([b"", b"/", b"@"]) for key in some)
        run.check_range((draw.choice("[("), ends[0]), (draw.choice("[("), ends[1]))
    run.remove(in_order(list(run.model), "mixed"))
    run.index.check()


def test_removal_gives_the_nodes_back() -> None:
    run = Run()
    made = [b"%08d" % number for number in range(20_000)]
    for key in in_order(list(made), "mixed"):
        run.insert(key)
    full = run.index.nodes_in_use_bytes()
    run.remove([key for at, key in enumerate(made) if at % 10])
    run.index.check()
    assert run.index.nodes_in_use_bytes() < full / 3
    run.remove(list(run.model))
    run.index.check()
    assert run.index.nodes_in_use_bytes() <= 5 * 1024     # a leaf, and the spare nodes of three levels


def test_compaction_gives_pages_back() -> None:
    run = Run()
    made = [b"%08d" % number for number in range(90_000)]
    for key in in_order(list(made), "mixed"):
        run.insert(key)
    full = run.index.page_bytes()
    gone = in_order(list(made), "mixed")[:86_000]
    run.remove(gone)
    pages = 0
    while run.index.compact():
        run.index.check()
        pages += 1
    assert pages > 3
    assert run.index.page_bytes() < full / 4
    run.check_range(WHOLE, END)
    for key in gone:
        run.insert(key)
    run.index.check()


def test_without_memory_an_insertion_is_refused_beforehand() -> None:
    run = Run()
    inserted = 0
    while run.index.insert_without_memory(b"%08d" % inserted):       # the page in use still has nodes
        inserted += 1
        assert inserted <= LEAF_MAX * PAGE_NODES + BUFFERED_MAX
    run.index.check()
    assert len(run.index.walk(WHOLE, END, False)) == inserted > LEAF_MAX
    run.insert(b"%08d" % inserted)
    run.index.check()


@pytest.mark.parametrize("allowed", range(3))
@pytest.mark.parametrize("kind", ["random", "rising", "alike"])
def test_every_allocation_may_fail(kind: str, allowed: int) -> None:
    """Each insertion is first tried while memory is denied: what is refused changes nothing, and works later."""
    draw = Random(allowed)
    run = Run()
    refused = 0
    for number in range(9000):
        if kind == "random":
            key = b"key:%012d" % draw.randrange(10**9)
        else:
            key = (b"number %012d" if kind == "rising" else b"%012d of a family" * 3 + b"%d") % ((number,) * (
                1 if kind == "rising" else 4))
        if key in run.model:
            continue
        if run.index.insert_without_memory(key, allowed):
            run.model.add(key)
            continue
        refused += 1
        run.index.check()
        run.insert(key)
    run.index.check()
    assert refused or allowed
    run.check_range(WHOLE, END)


FAMILIES = [b"user:profile:%012d", b"user:profile:name:%08d", b"session:2026:%d", b"%d", b"a%020d"]


@pytest.mark.parametrize("seed", range(2))
def test_families_of_keys_that_items_cannot_tell_apart(seed: int) -> None:
    draw = Random(seed)
    run = Run()
    for _ in range(12_000):
        run.insert(draw.choice(FAMILIES) % draw.randrange(10**6))
        if draw.random() < 0.2:
            run.remove([draw.choice(run.index.buffered() or run.model[:1])])
    run.index.check()
    assert 0 < len(run.index.buffered()) < len(run.model) / 4
    for _ in range(200):
        ends = sorted(draw.choice(FAMILIES) % draw.randrange(10**6) for _ in range(2))
        run.check_range((draw.choice("[("), ends[0]), (draw.choice("[("), ends[1]))
    run.remove(in_order(list(run.model), "mixed"))
    run.index.check()


def test_one_key_that_is_unlike_the_others_does_not_make_items_useless_for_ever() -> None:
    run = Run()
    for number in range(2000):
        run.insert(b"a beginning that is long:%d" % (number * 7919 % 100_003))
    run.insert(b"z")
    run.remove([b"z"])
    for number in range(2000, 6000):
        run.insert(b"a beginning that is long:%d" % (number * 7919 % 100_003))
    run.index.check()
    assert run.index.skip() >= 20


def test_buckets_follow_the_keys_that_come() -> None:
    draw = Random(1)
    run = Run()
    for _ in range(20_000):
        run.insert(b"a%08d" % draw.randrange(10**8))
    spread = run.index.buckets()
    assert spread > 10
    before = len([key for key in run.index.buffered() if key > b"b"])
    assert before == 0
    for _ in range(30_000):                                # all of them at the end of what there was
        run.insert(b"b%08d" % draw.randrange(10**8))
    run.index.check()
    assert len([key for key in run.index.buffered() if key > b"b"]) > 3000
    for _ in range(100):
        ends = sorted(draw.choice([b"a%08d", b"b%08d"]) % draw.randrange(10**8) for _ in range(2))
        run.check_range((draw.choice("[("), ends[0]), (draw.choice("[("), ends[1]))


@pytest.mark.parametrize("beginning", [b"", b"k", b"key:0", b"kex", b"kez", b"key:00000000000"])
def test_a_key_that_is_unlike_all_others_comes_when_there_are_buckets(beginning: bytes) -> None:
    """The buffer's beginning is cut, so that numbers, and where buckets begin, may become equal."""
    draw = Random(len(beginning))
    run = Run()
    for _ in range(12_000):
        run.insert(b"key:00%09d" % draw.randrange(10**9))
    assert run.index.buckets() > 4
    run.insert(beginning)
    run.index.check()
    for _ in range(100):
        ends = sorted(b"key:00%09d" % draw.randrange(10**9) for _ in range(2))
        run.check_range((draw.choice("[("), ends[0]), (draw.choice("[("), ends[1]))
    run.remove(run.index.buffered()[::3])
    for _ in range(6000):
        run.insert(b"key:00%09d" % draw.randrange(10**9))
    run.index.check()
    run.check_range(WHOLE, END)


def test_bounds_of_an_empty_index_find_nothing() -> None:
    index = OrderedProbe()
    for low in (WHOLE, END, ("[", b""), ("(", b"a")):
        for reverse in (False, True):
            assert index.walk(low, END, reverse) == []
        assert index.count(low, END, 1) == 0


def test_ranges_with_ends_the_wrong_way_round_are_empty() -> None:
    run = Run()
    for number in range(1000):
        run.insert(b"%04d" % number)
    for low, high in ((END, WHOLE), (("[", b"0500"), ("[", b"0499")), (("(", b"0500"), ("[", b"0500"))):
        run.check_range(low, high)
