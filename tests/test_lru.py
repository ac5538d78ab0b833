"""engine/lru.pxd against a Python list."""

from __future__ import annotations

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.lru_probe import LruProbe


def test_order() -> None:
    lru = LruProbe()
    first, second, third = lru.push(), lru.push(), lru.push()
    assert lru.from_head() == [third, second, first]
    lru.touch(first)
    assert lru.from_head() == [first, third, second]
    lru.touch(first)
    lru.touch(third)
    assert lru.from_tail() == [second, first, third]
    lru.remove(first)
    assert lru.from_head() == [third, second] and len(lru) == 2


@settings(max_examples=examples(200), deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["push", "push", "touch", "remove", "move"]), st.integers(0, 1000)), max_size=60
    )
)
def test_is_a_list(steps: list[tuple[str, int]]) -> None:
    lru = LruProbe()
    model: list[int] = []
    for action, number in steps:
        place = number % len(model) if model else 0
        if action == "push":
            model.insert(0, lru.push())
        elif not model:
            continue
        elif action == "touch":
            lru.touch(model[place])
            model.insert(0, model.pop(place))
        elif action == "remove":
            lru.remove(model.pop(place))
        else:
            model[place] = lru.move(model[place])
        assert lru.from_head() == model
        assert lru.from_tail() == model[::-1]
        assert len(lru) == len(model)
