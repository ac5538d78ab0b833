"""INCR, INCRBY, DECR, DECRBY and INCRBYFLOAT."""

from __future__ import annotations

import locale

import pytest
import scripts
from local import Local

SCRIPTS = {
    "incr and decr": """
        incr k => :1
        incr k => :2
        get k => "2"
        decr k => :1
        decr k => :0
        decr k => :-1
        get k => "-1"
        expire k 1000 => :1
        incr k => :0
        ttl k => :1000
        incr => -ERR wrong number of arguments for 'incr' command
        decr k 1 => -ERR wrong number of arguments for 'decr' command
    """,
    "incrby and decrby": """
        incrby k 5 => :5
        incrby k -7 => :-2
        decrby k 10 => :-12
        decrby k -20 => :8
        incrby k 0 => :8
        incrby k 1.5 => -ERR value is not an integer or out of range
        incrby k +1 => -ERR value is not an integer or out of range
        incrby k "" => -ERR value is not an integer or out of range
        incrby k 9223372036854775808 => -ERR value is not an integer or out of range
        decrby k abc => -ERR value is not an integer or out of range
        decrby k -9223372036854775808 => -ERR decrement would overflow
        incrby k => -ERR wrong number of arguments for 'incrby' command
        decrby k => -ERR wrong number of arguments for 'decrby' command
        get k => "8"
        decrby none 3 => :-3
    """,
    "the range's ends": """
        set k 9223372036854775806 => +OK
        incr k => :9223372036854775807
        incr k => -ERR increment or decrement would overflow
        incrby k 1 => -ERR increment or decrement would overflow
        decrby k -1 => -ERR increment or decrement would overflow
        incrby k -9223372036854775808 => :-1
        incrby k -9223372036854775807 => :-9223372036854775808
        decr k => -ERR increment or decrement would overflow
        decrby k 9223372036854775807 => -ERR increment or decrement would overflow
        incrby k 9223372036854775807 => :-1
        get k => "-1"
    """,
    "what is no integer": """
        set k abc => +OK
        incr k => -ERR value is not an integer or out of range
        set k "" => +OK
        incr k => -ERR value is not an integer or out of range
        set k 01 => +OK
        incr k => -ERR value is not an integer or out of range
        set k -0 => +OK
        incr k => -ERR value is not an integer or out of range
        set k "1 " => +OK
        decr k => -ERR value is not an integer or out of range
        set k 9223372036854775808 => +OK
        decr k => -ERR value is not an integer or out of range
        set k 1.0 => +OK
        incrby k 1 => -ERR value is not an integer or out of range
        get k => "1.0"
    """,
    "incrbyfloat": """
        incrbyfloat k 10.50 => "10.5"
        incrbyfloat k 0.1 => "10.6"
        incrbyfloat k -5 => "5.6"
        incrbyfloat k 4.4 => "10"
        get k => "10"
        incr k => :11
        incrbyfloat k 3.0e3 => "3011"
        set k 5.0e3 => +OK
        incrbyfloat k 200 => "5200"
        incrbyfloat k +1 => "5201"
        incrbyfloat k 0x10 => "5217"
        set k 3.0 => +OK
        incrbyfloat k 1.125 => "4.125"
        set k 0 => +OK
        incrbyfloat k -0 => "0"
        incrbyfloat k -0.00000000000000000001 => "0"
        incrbyfloat k 1e18 => "1000000000000000000"
        expire k 1000 => :1
        incrbyfloat k .5 => "1000000000000000000.5"
        ttl k => :1000
        incrbyfloat k => -ERR wrong number of arguments for 'incrbyfloat' command
    """,
    "what is no float": """
        set k 1 => +OK
        incrbyfloat k abc => -ERR value is not a valid float
        incrbyfloat k "" => -ERR value is not a valid float
        incrbyfloat k " 1" => -ERR value is not a valid float
        incrbyfloat k "1 " => -ERR value is not a valid float
        incrbyfloat k 1,5 => -ERR value is not a valid float
        incrbyfloat k nan => -ERR value is not a valid float
        incrbyfloat k -nan => -ERR value is not a valid float
        incrbyfloat k 1e5000 => -ERR value is not a valid float
        incrbyfloat k 1e-5000 => -ERR value is not a valid float
        incrbyfloat k inf => -ERR increment would produce NaN or Infinity
        incrbyfloat k -Infinity => -ERR increment would produce NaN or Infinity
        set k 1e4932 => +OK
        incrbyfloat k 1e4932 => -ERR increment would produce NaN or Infinity
        set k inf => +OK
        incrbyfloat k 1 => -ERR increment would produce NaN or Infinity
        incrbyfloat k -inf => -ERR increment would produce NaN or Infinity
        set k nan => +OK
        incrbyfloat k 1 => -ERR value is not a valid float
        set k "1 " => +OK
        incrbyfloat k 1 => -ERR value is not a valid float
        get k => "1 "
    """,
}


@pytest.fixture
def runner() -> Local:
    return Local()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Local, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def test_largest_float_fits_its_buffer(runner: Local) -> None:
    """The most digits a long double can have in front of the point."""
    (reply,) = runner.run([[b"INCRBYFLOAT", b"k", b"-1e4932"]])
    assert reply.startswith((b"$4934\r\n-1", b"$4933\r\n-9"))
    (reply,) = runner.run([[b"INCRBYFLOAT", b"k", b"1e4931"]])
    assert reply.startswith(b"$4933\r\n-")


def test_number_text_longer_than_its_buffer_is_refused(runner: Local) -> None:
    text = b"0." + b"1" * 5117
    assert runner.run([[b"INCRBYFLOAT", b"k", text]])[0].startswith(b"$19\r\n0.111")
    assert runner.run([[b"INCRBYFLOAT", b"k", text + b"1"]]) == [b"-ERR value is not a valid float\r\n"]


def test_locale_with_a_decimal_comma_changes_nothing(runner: Local) -> None:
    before = locale.setlocale(locale.LC_NUMERIC)
    names = ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C")
    for name in names:
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    try:
        assert runner.run([[b"INCRBYFLOAT", b"k", b"1.5"]]) == [b"$3\r\n1.5\r\n"]
        assert runner.run([[b"INCRBYFLOAT", b"k", b"1,5"]]) == [b"-ERR value is not a valid float\r\n"]
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
