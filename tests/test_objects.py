"""OBJECT and MEMORY."""

from __future__ import annotations

import pytest
import resp
import scripts
from scripts import Runner
from session_runner import SessionRunner

LFU_NEEDED = (
    "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
    "between policies at runtime LRU and LFU data will take some time to adjust."
)

SCRIPTS = {
    "encoding": """
        object encoding none => nil
        set k 123 => +OK
        object encoding k => "int"
        set k -9223372036854775808 => +OK
        object encoding k => "int"
        set k 9223372036854775808 => +OK
        object encoding k => "embstr"
        set k 01 => +OK
        object encoding k => "embstr"
        set k +1 => +OK
        object encoding k => "embstr"
        set k -0 => +OK
        object encoding k => "embstr"
        set k "" => +OK
        object encoding k => "embstr"
        set k aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee => +OK
        object encoding k => "embstr"
        set k aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee => +OK
        object encoding k => "raw"
    """,
    "what is changed in place is raw": """
        set k 5 => +OK
        append k 6 => :2
        object encoding k => "raw"
        copy k copy => :1
        object encoding copy => "raw"
        rename copy other => +OK
        object encoding other => "raw"
        incr k => :57
        object encoding k => "int"
        setrange k 0 1 => :2
        object encoding k => "raw"
        set k abc => +OK
        object encoding k => "embstr"
        append new 5 => :1
        object encoding new => "int"
        setrange fresh 0 x => :1
        object encoding fresh => "raw"
    """,
    "refcount": """
        object refcount none => nil
        mset zero 0 most 9999 more 10000 less -1 text abc => +OK
        object refcount zero => :2147483647
        object refcount most => :2147483647
        object refcount more => :1
        object refcount less => :1
        object refcount text => :1
    """,
    "idletime": """
        object idletime none => nil
        set k v => +OK
        object idletime k => :0
    """,
    "freq": f"""
        object freq none => nil
        set k v => +OK
        object freq k => {LFU_NEEDED}
    """,
    "object gone wrong": """
        object => -ERR wrong number of arguments for 'object' command
        object encoding => -ERR wrong number of arguments for 'object|encoding' command
        object encoding k k => -ERR wrong number of arguments for 'object|encoding' command
        object FOO => -ERR unknown subcommand 'FOO'. Try OBJECT HELP.
        object foo k => -ERR unknown subcommand 'foo'. Try OBJECT HELP.
        object help x => -ERR wrong number of arguments for 'object|help' command
    """,
    "memory usage gone wrong": """
        memory usage none => nil
        memory usage none samples 5 => nil
        set k v => +OK
        memory usage none foo => -ERR syntax error
        memory usage k samples => -ERR syntax error
        memory usage k samples -1 => -ERR syntax error
        memory usage k samples x => -ERR value is not an integer or out of range
        memory usage => -ERR wrong number of arguments for 'memory|usage' command
        memory => -ERR wrong number of arguments for 'memory' command
        memory foo => -ERR unknown subcommand 'foo'. Try MEMORY HELP.
        memory purge => +OK
        memory purge x => -ERR wrong number of arguments for 'memory|purge' command
    """,
}


@pytest.fixture
def runner() -> SessionRunner:
    return SessionRunner()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(runner: Runner, name: str) -> None:
    scripts.check(runner, SCRIPTS[name])


def number(reply: bytes) -> int:
    assert reply[:1] == b":"
    return int(reply[1:])


def test_memory_usage_grows_with_the_value(runner: Runner) -> None:
    sizes = []
    for size in (1, 100, 1000, 10_000, 1_000_000):
        _, reply, sampled = runner.run(
            [[b"SET", b"k", b"v" * size], [b"MEMORY", b"USAGE", b"k"], [b"MEMORY", b"USAGE", b"k", b"samples", b"0"]]
        )
        assert reply == sampled
        sizes.append(number(reply))
        assert size < sizes[-1] < 1.3 * size + 150
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", [b"OBJECT", b"MEMORY"])
def test_help_is_a_list_of_lines(runner: Runner, name: bytes) -> None:
    (reply,) = runner.run([[name, b"HELP"]])
    lines = resp.elements(reply.partition(b"\r\n")[2])
    assert lines[0] == b"+%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n" % name
    assert lines[-2:] == [b"+HELP\r\n", b"+    Prints this help.\r\n"]


def test_malloc_stats_is_text(runner: Runner) -> None:
    (reply,) = runner.run([[b"MEMORY", b"MALLOC-STATS"]])
    assert reply[:1] == b"$"
    assert len(reply) > 20
