"""Sessions over the executor: pipelines, cuts, turns, parking, errors, accounting."""

from __future__ import annotations

import random

import generators
import pytest
import resp
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.sessions import Probe, Server

OK = b"+OK\r\n"


@pytest.fixture
def probe() -> Probe:
    return Probe()


def pipeline(seed: int, count: int) -> bytes:
    """Random data commands with transactions, connection commands, inline commands and empty lines between them."""
    draw = random.Random(seed)
    others = (b"MULTI\r\n", b"EXEC\r\n", b"DISCARD\r\n", b"WATCH key:1 key:2\r\n", b"UNWATCH\r\n", b"PING\r\n", b"\r\n",
              b"FOO bar\r\n", b"*0\r\n", b"SELECT 1\r\n", b"SELECT 0\r\n", b"CLIENT REPLY SKIP\r\n", b"HELLO 3\r\n",
              b"HELLO 2\r\n", b"client id\r\n", b"RESET\r\n", b'SET "inline key" "a\\x00b"\r\n', b"ECHO x\r\n")
    parts = []
    for command in generators.mixed(draw, count):
        parts.append(resp.encode(command))
        if draw.random() < 0.3:
            parts.append(draw.choice(others))
    return b"".join(part for part in parts if not part.upper().startswith(b"*1\r\n$9\r\nRANDOMKEY"))


WHOLE = {seed: pipeline(seed, 120) for seed in range(6)}


def replies(data: bytes, cuts: list[int], **options: int) -> bytes:
    probe = Probe(Server(shards=4))
    probe.budget = options.get("budget", 1000)
    places = [0, *sorted(cuts), len(data)]
    return b"".join(probe.feed(data[start:end]) for start, end in zip(places, places[1:], strict=False))


EXPECTED = {seed: replies(data, []) for seed, data in WHOLE.items()}


def test_pipelines_do_something() -> None:
    assert all(len(reply) > 1000 for reply in EXPECTED.values())
    assert any(b"+QUEUED" in reply and b"\r\n%7\r\n" in reply for reply in EXPECTED.values())


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_cut_anywhere_the_replies_are_the_same(seed: int, data: st.DataObject) -> None:
    whole = WHOLE[seed]
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=40))
    assert replies(whole, cuts) == EXPECTED[seed]


@pytest.mark.parametrize("seed", [0, 1])
def test_byte_by_byte(seed: int) -> None:
    whole = WHOLE[seed]
    assert replies(whole, list(range(1, len(whole), 7))) == EXPECTED[seed]


@pytest.mark.parametrize("budget", [1, 2, 47, 48, 49])
def test_any_budget(budget: int) -> None:
    for seed, whole in WHOLE.items():
        assert replies(whole, [], budget=budget) == EXPECTED[seed]


def test_prefetching_changes_nothing() -> None:
    for seed, whole in WHOLE.items():
        assert Probe(Server(shards=1, prefetch=False)).feed(whole) == Probe(Server(shards=1)).feed(whole)
        assert len(EXPECTED[seed]) > 0


def test_budget_bounds_a_turn(probe: Probe) -> None:
    probe.budget = 10
    assert probe.feed(b"PING\r\n" * 95) == b"+PONG\r\n" * 95
    assert probe.turns == 10


def test_many_reply_bytes_end_a_turn(probe: Probe) -> None:
    probe.execute("SET", "k", b"x" * 12000)
    assert len(probe.feed(b"GET k\r\n" * 400)) == 400 * 12010
    # 48 commands a batch, the turn ends at the first batch that passes a mebibyte.
    assert probe.turns >= 4


def test_unfinished_command_is_kept(probe: Probe) -> None:
    assert probe.feed(b"*2\r\n$3\r\nGET\r\n$1\r\n") == b""
    assert probe.unconsumed > 0
    assert probe.feed(b"k\r\n") == b"$-1\r\n"
    assert probe.unconsumed == 0


def test_large_strings_arrive_apart(probe: Probe) -> None:
    value = random.Random(2).randbytes(300_000)
    head = b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$300000\r\n"
    assert probe.feed(head + value[:1000]) == b""
    for start in range(1000, len(value), 7777):
        assert probe.feed(value[start : start + 7777]) == b""
    assert probe.feed(b"\r\nGET big\r\n") == OK + b"$300000\r\n" + value + b"\r\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"*x\r\n", b"Protocol error: invalid multibulk length"),
        (b"*1\r\n$-5\r\n", b"Protocol error: invalid bulk length"),
        (b"*1\r\nGET\r\n", b"Protocol error: expected '$', got 'G'"),
        (b'GET "a\r\n', b"Protocol error: unbalanced quotes in request"),
    ],
)
def test_protocol_errors_close(probe: Probe, data: bytes, text: bytes) -> None:
    assert probe.feed(b"PING\r\n" + data + b"PING\r\n") == b"+PONG\r\n-ERR " + text + b"\r\n"
    assert (probe.state, probe.unconsumed) == ("closing", 0)
    assert probe.feed(b"PING\r\n") == b""


def test_bulk_limit_follows_the_service(probe: Probe) -> None:
    probe.server.handle.bulk_bytes_max = 1000
    assert probe.feed(b"*2\r\n$3\r\nGET\r\n$1001\r\n") == b"-ERR Protocol error: invalid bulk length\r\n"


def test_python_commands_park(probe: Probe) -> None:
    assert probe.feed(b"PING\r\nCONFIG GET port\r\nSET k v\r\nINFO\r\nGET k\r\n") == b"+PONG\r\n"
    assert (probe.state, probe.waiting) == ("parked", [b"CONFIG", b"GET", b"port"])
    # More bytes wait behind it.
    assert probe.feed(b"PING\r\n") == b""
    assert probe.resume(b"*0\r\n") == b"*0\r\n" + OK
    assert probe.waiting == [b"INFO"]
    assert probe.resume(b"$2\r\nhi\r\n") == b"$2\r\nhi\r\n$1\r\nv\r\n+PONG\r\n"
    assert (probe.state, probe.unconsumed) == ("open", 0)


def test_parked_session_may_end(probe: Probe) -> None:
    probe.feed(b"INFO " + b"x" * 100 + b"\r\nPING\r\n")
    assert probe.waiting == [b"INFO", b"x" * 100]
    probe.close()


def test_killed_while_parked(probe: Probe) -> None:
    other = Probe(probe.server)
    other.feed(b"INFO\r\nSET k v\r\n")
    assert probe.feed(b"CLIENT KILL ID %d\r\n" % other.id) == b":1\r\n"
    assert other.resume(b"+late\r\n") == b"+late\r\n"
    assert (other.state, probe.server.count()) == ("closing", 0)


def test_long_commands_continue(probe: Probe) -> None:
    count = 20_000
    for start in range(0, count, 1000):
        probe.execute("MSET", *(word for index in range(start, start + 1000) for word in (f"key:{index}", "v")))
    reply = probe.feed(b"KEYS key:*\r\nDBSIZE\r\n")
    assert reply.startswith(b"*20000\r\n") and reply.endswith(b":20000\r\n")
    assert probe.turns > 1
    assert probe.call(b"KEYS", b"key:1") == (True, b"*1\r\n$5\r\nkey:1\r\n")


def test_execute_outside_the_protocol(probe: Probe) -> None:
    assert probe.call(b"SET", b"k", b"v") == (True, OK)
    assert probe.call(b"get", b"k") == (True, b"$1\r\nv\r\n")
    assert probe.call(b"MGET", b"k", b"l") == (True, b"*2\r\n$1\r\nv\r\n$-1\r\n")
    assert probe.call(b"GET") == (True, b"-ERR wrong number of arguments for 'get' command\r\n")
    assert probe.call(b"POST", b"/")[1].startswith(b"-ERR unknown command 'POST'") and probe.state == "open"
    assert probe.call(b"INFO") == (False, b"")
    assert probe.waiting == [b"INFO"]


def test_expired_keys_go_when_they_are_read(probe: Probe) -> None:
    probe.feed(b"SET a 1 PX 10\r\nSET b 1 PX 10\r\nSET c 1 PX 10\r\nSET d 1\r\n")
    probe.server.now_ms += 20
    assert probe.server.count() == 4
    assert probe.feed(b"GET a\r\nMGET b c d\r\n") == b"$-1\r\n*3\r\n$-1\r\n$-1\r\n$1\r\n1\r\n"
    assert probe.server.count() == 1


def test_hits_and_misses_are_counted(probe: Probe) -> None:
    probe.feed(b"SET a 1\r\nGET a\r\nGET b\r\nMGET a b c\r\n")
    assert probe.server.hits_and_misses == (2, 3)


def test_statistics(probe: Probe) -> None:
    handle = probe.server.handle
    probe.feed(b"SET a x\r\n" * 5 + b"INCR a\r\nGET\r\nFOO\r\nGET a\r\nclient id\r\nMULTI\r\nGET a\r\nEXEC\r\n")
    stats = handle.command_stats()
    assert {name: (calls, rejected, failed) for name, (calls, _, rejected, failed) in stats.items()} == {
        "set": (5, 0, 0),
        "incr": (1, 0, 1),
        "get": (2, 1, 0),
        "client|id": (1, 0, 0),
        "multi": (1, 0, 0),
        "exec": (1, 0, 0),
    }
    commands, errors = handle.totals()
    assert (commands, errors) == (14, 3)
    handle.reset_stats()
    assert (handle.command_stats(), handle.totals()) == ({}, (0, 0))
    probe.feed(b"SET a x\r\n")
    assert handle.command_stats()["set"][0] == 1


def test_slow_log(probe: Probe) -> None:
    handle = probe.server.handle
    handle.slow_us = 0
    probe.feed(b"CLIENT SETNAME bob\r\n")
    probe.execute("SET", "k", b"x" * 200)
    probe.execute("DEL", *range(40))
    handle.slow_us = -1
    probe.execute("GET", "k")
    log = handle.slow_log()
    assert [entry[3][0] for entry in log] == [b"DEL", b"SET", b"CLIENT"]
    assert log[0][3][-1] == b"... (10 more arguments)" and len(log[0][3]) == 32
    assert log[1][3][2] == b"x" * 128 + b"... (72 more bytes)"
    assert [entry[0] for entry in log] == [2, 1, 0]
    assert log[0][1] == 1700000000 and log[0][4:] == (b"127.0.0.1:50000", b"bob")
    assert (handle.slow_count(), len(handle.slow_log(2))) == (3, 2)
    handle.slow_capacity = 2
    assert [entry[0] for entry in handle.slow_log()] == [2, 1]
    handle.slow_us = 0
    probe.feed(b"PING\r\n" * 3)
    assert [entry[0] for entry in handle.slow_log()] == [5, 4]
    handle.slow_capacity = 4
    probe.feed(b"PING\r\n")
    assert [entry[0] for entry in handle.slow_log()] == [6, 5, 4]
    handle.slow_reset()
    assert (handle.slow_count(), handle.slow_log()) == (0, [])
    handle.slow_capacity = 0
    probe.feed(b"PING\r\n")
    assert handle.slow_log() == []


def test_slow_log_hides_passwords(probe: Probe) -> None:
    handle = probe.server.handle
    handle.slow_us = 0
    probe.feed(b"AUTH default s3cret\r\nHELLO 3 AUTH default s3cret\r\nHELLO\r\nCONFIG SET requirepass s3cret\r\n")
    probe.resume(b"+OK\r\n")
    assert [entry[3] for entry in handle.slow_log()] == [
        [b"CONFIG", b"(redacted)"], [b"HELLO"], [b"HELLO", b"(redacted)"], [b"AUTH", b"(redacted)"]
    ]


def test_python_commands_are_timed_until_they_are_answered(probe: Probe) -> None:
    handle = probe.server.handle
    handle.slow_us = 0
    probe.feed(b"DEBUG SLEEP 1\r\n")
    assert handle.slow_log() == []
    probe.resume(b"+OK\r\n")
    probe.feed(b"MULTI\r\nINFO\r\nEXEC\r\n")
    probe.resume(b"+OK\r\n")
    assert [entry[3] for entry in handle.slow_log()] == [[b"INFO"], [b"MULTI"], [b"DEBUG", b"SLEEP", b"1"]]
    assert handle.command_stats()["info"][0] == 1


def test_memory_returns(probe: Probe) -> None:
    before = probe.memory_bytes
    probe.feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 50000)
    assert probe.memory_bytes > before
    probe.feed(b"x" * 50000 + b"\r\n")
    assert probe.memory_bytes == before


def test_out_of_memory_is_refused(probe: Probe) -> None:
    oom = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    probe.feed(b"SET a 1\r\n")
    probe.server.memory_bytes_max = 1
    assert probe.feed(b"SET b 2\r\nGET a\r\nDEL a\r\n") == oom + b"$1\r\n1\r\n:1\r\n"
    probe.server.memory_bytes_max = 1 << 40
    assert probe.feed(b"SET b 2\r\n") == OK


def test_memory_limit_is_not_overrun(probe: Probe) -> None:
    for limit in (probe.server.memory_bytes + 200_000, probe.server.memory_bytes + 5_000_000):
        probe.server.memory_bytes_max = limit
        commands = b"".join(resp.encode([b"SET", b"k%d:%d" % (limit, index), b"x" * 500]) for index in range(20_000))
        reply = probe.feed(commands)
        assert reply.startswith(OK) and reply.endswith(b"'maxmemory'.\r\n")
        assert limit - 100_000 < probe.server.memory_bytes < limit + 100_000
