"""engine/wheel.pxd against a plain dict of expiries, with injected time."""

from __future__ import annotations

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.wheel_probe import NEVER, WheelProbe

START_MS = 1_700_000_000_000
LATEST_MS = (1 << 63) - 1
ALL = 1 << 30
BACK_TICKS = 125
# Around the boundaries of ticks, slots and levels, and what lies beyond the last level.
SPANS_MS = [
    max(0, (8 << 6 * level) * times + by) for level in range(8) for times in (1, 2, 63, 64) for by in (-9, -1, 0, 1)
]
spans = st.one_of(st.integers(0, 2000), st.integers(0, 100_000), st.sampled_from(SPANS_MS))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), spans),
        st.tuples(st.just("add"), spans),
        st.tuples(st.just("remove"), st.integers(0, 1000)),
        st.tuples(st.just("move"), st.integers(0, 1000)),
        st.tuples(st.just("change"), st.integers(0, 1000), spans),
        st.tuples(st.just("pass"), spans),
        st.tuples(st.just("slice"), spans, st.integers(1, 4)),
        st.tuples(st.just("sleep")),
        st.tuples(st.just("back"), st.one_of(st.integers(1, 3000), st.sampled_from(SPANS_MS))),
    ),
    max_size=60,
)


class Run:
    """A wheel and what should be in it."""

    def __init__(self, now_ms: int) -> None:
        self.wheel = WheelProbe()
        self.model: dict[int, int] = {}
        self.now_ms = now_ms
        self.base = 0

    def add(self, span_ms: int) -> None:
        expire_ms = self.now_ms + span_ms or 1
        self.model[self.wheel.add(expire_ms)] = expire_ms

    def take(self, looks: int) -> None:
        """Takes what is found; nothing too early, and nothing left behind when the wheel has moved."""
        tick = self.now_ms // 8
        moved = tick > self.base or tick < self.base - BACK_TICKS
        found, left = self.wheel.take(self.now_ms, looks)
        for handle in found:
            assert self.model.pop(handle) <= self.now_ms
        if moved:
            self.base = tick
            assert not left or all(expire_ms > tick * 8 for expire_ms in self.model.values())

    def step(self, action: str, *numbers: int) -> None:
        handles = sorted(self.model)
        if action == "add":
            self.add(numbers[0])
        elif action == "back":
            self.now_ms = max(0, self.now_ms - numbers[0])
        elif action == "sleep":
            wake_ms = self.wheel.wake_ms(self.now_ms)
            self.now_ms = self.now_ms if wake_ms == NEVER else max(self.now_ms, wake_ms)
            self.take(ALL)
        elif action in ("pass", "slice"):
            self.now_ms += numbers[0]
            self.take(numbers[1] if action == "slice" else ALL)
        elif handles:
            handle = handles[numbers[0] % len(handles)]
            if action == "remove":
                self.wheel.remove(handle)
                del self.model[handle]
            elif action == "move":
                expire_ms = self.model.pop(handle)
                self.model[self.wheel.move(handle)] = expire_ms
            else:
                self.model[handle] = self.now_ms + numbers[1] or 1
                self.wheel.change(handle, self.model[handle])


@settings(max_examples=examples(400), deadline=None)
@given(first=st.sampled_from([0, 5, START_MS]), steps=steps)
def test_finds_what_is_due(first: int, steps: list[tuple]) -> None:
    run = Run(first)
    for step in steps:
        run.step(*step)
        assert sorted(run.wheel.walk()) == sorted(run.model)
        assert len(run.wheel) == len(run.model)
        assert (run.wheel.wake_ms(run.now_ms) == NEVER) == (not run.model)


@settings(max_examples=examples(200), deadline=None)
@given(first=st.sampled_from([0, START_MS, START_MS + 12_345]), expiries=st.lists(spans, min_size=1, max_size=40))
def test_wakes_in_time(first: int, expiries: list[int]) -> None:
    """Who calls only when told finds each entry at the first tick at which it is due."""
    wheel = WheelProbe()
    wheel.advance(first)
    model = {}
    for span_ms in expiries:
        model[wheel.add(first + span_ms + 9)] = first + span_ms + 9
    now_ms = first
    for _ in range(200 * len(expiries)):
        if not model:
            break
        wake_ms = wheel.wake_ms(now_ms)
        assert wake_ms > now_ms
        now_ms = wake_ms
        for handle in wheel.take(now_ms, ALL)[0]:
            assert 0 <= now_ms - model.pop(handle) < 8
    assert model == {} and wheel.wake_ms(now_ms) == NEVER


def test_the_latest_time_there_is() -> None:
    wheel = WheelProbe()
    wheel.advance(START_MS)
    handle = wheel.add(LATEST_MS)
    assert START_MS < wheel.wake_ms(START_MS) < LATEST_MS
    for year in range(1, 2000, 7):
        assert wheel.take(START_MS + year * 31_557_600_000, ALL)[0] == []
    wheel.change(handle, START_MS)
    assert wheel.take(START_MS + 2001 * 31_557_600_000, ALL)[0] == [handle]


def test_a_look_is_one_entry() -> None:
    """However much comes due at once, a call looks at as many as it may."""
    wheel = WheelProbe()
    for number in range(100):
        wheel.add(START_MS + number)
    wheel.advance(START_MS - 1000)
    sizes = []
    while len(wheel):
        found, left = wheel.take(START_MS + 3_600_000, 7)
        assert left == 0 or len(wheel) == 0
        sizes.append(len(found))
    assert sum(sizes) == 100 and max(sizes) <= 7


def test_those_due_come_before_those_to_be_spread() -> None:
    wheel = WheelProbe()
    wheel.advance(START_MS)
    width_ms = 8 << 12
    begin_ms = (START_MS // width_ms + 2) * width_ms
    for number in range(1000):
        wheel.add(begin_ms + width_ms // 2 + number)
    first = wheel.add(begin_ms + 1)
    wheel.take(begin_ms - width_ms // 16, 2000)
    wheel.take(begin_ms - 8, 2000)
    assert wheel.take(begin_ms + 8, 1) == ([first], 0)


def test_refreshed_keys_stay_where_they_are() -> None:
    """Putting an expiry off costs nothing until the old one has come."""
    wheel = WheelProbe()
    wheel.advance(START_MS)
    handle = wheel.add(START_MS + 1000)
    wake_ms = wheel.wake_ms(START_MS)
    for put_off in range(10):
        wheel.change(handle, START_MS + 2000 + put_off)
        assert wheel.wake_ms(START_MS) == wake_ms
    assert wheel.take(START_MS + 1500, ALL)[0] == []
    assert wheel.take(START_MS + 2016, ALL)[0] == [handle]


def test_a_clock_that_is_set_back() -> None:
    """A little: it is waited for. Much: everything is spread anew, and found at its time."""
    wheel = WheelProbe()
    wheel.advance(START_MS)
    early = wheel.add(START_MS - 500)
    assert wheel.take(START_MS - 900, ALL)[0] == []
    assert wheel.wake_ms(START_MS - 900) > START_MS - 900
    late = wheel.add(START_MS - 3_600_000 + 100)
    assert wheel.wake_ms(START_MS - 3_600_000) <= START_MS - 3_600_000
    assert wheel.take(START_MS - 3_600_000, ALL)[0] == []
    assert wheel.take(START_MS - 3_600_000 + 200, ALL)[0] == [late]
    assert wheel.take(START_MS - 492, ALL)[0] == [early]
