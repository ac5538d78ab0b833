"""The atomics, through a probe: they have the width, the sign and the wrap-around of the C types."""

from probes import platform_probe as probe


def test_release_and_acquire_carry_the_value() -> None:
    assert probe.publish(0xFFFF_FFFF) == 0xFFFF_FFFF


def test_addition_gives_the_new_value_and_wraps() -> None:
    probe.publish(0xFFFF_FFFE)
    assert probe.add(1) == 0xFFFF_FFFF
    assert probe.add(3) == 2


def test_signed_counter_goes_below_zero() -> None:
    assert probe.move_gauge(1, -5) == -4
    assert probe.move_gauge(-(2**63), 2**62) == -(2**62)


def test_assertion_that_holds_is_silent() -> None:
    probe.check(True)
