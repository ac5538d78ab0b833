"""MULTI, EXEC, DISCARD, WATCH and UNWATCH: what is queued, what aborts, what a watch sees."""

from __future__ import annotations

import pytest

from probes.sessions import Probe, Server

ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
OK, QUEUED, NULL = b"+OK\r\n", b"+QUEUED\r\n", b"*-1\r\n"


@pytest.fixture
def probe() -> Probe:
    return Probe()


def feed(probe: Probe, lines: str) -> bytes:
    return probe.feed("\r\n".join([*lines.split(";"), ""]).encode())


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ("MULTI;EXEC", OK + b"*0\r\n"),
        ("MULTI;SET a 1;INCR a;GET a;EXEC", OK + QUEUED * 3 + b"*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"),
        ("EXEC", b"-ERR EXEC without MULTI\r\n"),
        ("DISCARD", b"-ERR DISCARD without MULTI\r\n"),
        ("MULTI;SET a 1;DISCARD;GET a", OK + QUEUED + OK + b"$-1\r\n"),
        ("MULTI;MULTI;SET a 1;EXEC", OK + b"-ERR MULTI calls can not be nested\r\n" + QUEUED + b"*1\r\n+OK\r\n"),
        ("MULTI;WATCH a;PING;EXEC", OK + b"-ERR WATCH inside MULTI is not allowed\r\n" + QUEUED + b"*1\r\n+PONG\r\n"),
        ("MULTI;FOO;PING;EXEC;GET a",
         OK + b"-ERR unknown command 'FOO', with args beginning with: \r\n" + QUEUED + ABORTED + b"$-1\r\n"),
        ("MULTI;GET;EXEC", OK + b"-ERR wrong number of arguments for 'get' command\r\n" + ABORTED),
        ("MULTI;CLIENT NOPE;EXEC", OK + b"-ERR unknown subcommand 'NOPE'. Try CLIENT HELP.\r\n" + ABORTED),
        ("MULTI;SET a x;INCR a;SET b 2;EXEC;GET b",
         OK + QUEUED * 3 + b"*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n$1\r\n2\r\n"),
        ("MULTI;EXEC x;EXEC",
         OK + b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
         b"-ERR EXEC without MULTI\r\n"),
        ("MULTI;SELECT 2;SET k 2;SELECT 0;EXEC;GET k", OK + QUEUED * 3 + b"*3\r\n" + OK * 3 + b"$-1\r\n"),
        ("MULTI;SELECT 2;EXEC;SET k 2;SELECT 0;GET k", OK + QUEUED + b"*1\r\n" + OK * 3 + b"$-1\r\n"),
        ("MULTI;HELLO 3;GET no;EXEC", OK + QUEUED * 2 + b"*2\r\n%7\r\n"),
        ("MULTI;MSET a 1 b 2;MGET a b c;DEL a b;DBSIZE;EXEC",
         OK + QUEUED * 4 + b"*4\r\n+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n:2\r\n:0\r\n"),
        ("SET a 1;MULTI;KEYS *;FLUSHALL;KEYS *;SWAPDB 0 1;EXEC",
         OK * 2 + QUEUED * 4 + b"*4\r\n*1\r\n$1\r\na\r\n+OK\r\n*0\r\n+OK\r\n"),
        ("WATCH a;MULTI;UNWATCH;EXEC", OK * 2 + QUEUED + b"*1\r\n+OK\r\n"),
        ("MULTI;QUIT", OK + OK),
        ("MULTI;SHUTDOWN;EXEC", OK + b"-ERR Command not allowed inside a transaction\r\n" + ABORTED),
    ],
)
def test_replies(probe: Probe, lines: str, reply: bytes) -> None:
    assert feed(probe, lines)[: len(reply)] == reply


@pytest.mark.parametrize(
    ("watched", "meanwhile", "broken"),
    [
        ("WATCH a", "SET a 2", True),
        ("WATCH a", "SET b 2", False),
        ("WATCH a b", "SET b 2", True),
        ("WATCH a", "GET a", False),
        ("WATCH a", "DEL a", True),
        ("WATCH a", "DEL b", False),
        ("WATCH a", "EXPIRE a 100", True),
        ("WATCH a", "RENAME a z", True),
        ("WATCH b", "RENAME a b", True),
        ("WATCH b", "COPY a b", True),
        ("WATCH a", "APPEND a x", True),
        ("WATCH a", "FLUSHALL", True),
        ("WATCH b", "FLUSHALL", False),
        ("WATCH a", "FLUSHDB", True),
        ("WATCH a", "SWAPDB 0 1", True),
        ("WATCH a", "SELECT 1;SET a 2", False),
        ("SELECT 1;WATCH a;SELECT 0", "SET a 2", False),
        ("SELECT 1;WATCH a;SELECT 0", "SELECT 1;SET a 2", True),
        ("WATCH a;WATCH a;UNWATCH", "SET a 2", False),
        ("WATCH a;MULTI;DISCARD", "SET a 2", False),
        ("WATCH a;MULTI;EXEC", "SET a 2", False),
        ("WATCH a;RESET", "SET a 2", False),
        ("WATCH a", "MULTI;SET a 2;DISCARD", False),
        ("WATCH a", "MULTI;SET a 2;EXEC", True),
    ],
)
def test_watches(probe: Probe, watched: str, meanwhile: str, broken: bool) -> None:
    other = Probe(probe.server)
    feed(probe, "SET a 1")
    feed(probe, watched)
    feed(other, meanwhile)
    assert feed(probe, "MULTI;PING;EXEC") == OK + QUEUED + (NULL if broken else b"*1\r\n+PONG\r\n")
    # An EXEC, broken or not, ends the watches.
    feed(other, meanwhile)
    assert feed(probe, "MULTI;PING;EXEC") == OK + QUEUED + b"*1\r\n+PONG\r\n"


def test_own_changes_break_a_watch_too(probe: Probe) -> None:
    assert feed(probe, "WATCH a;SET a 1;MULTI;PING;EXEC") == OK * 3 + QUEUED + NULL


def test_errors_weigh_more_than_a_broken_watch(probe: Probe) -> None:
    feed(probe, "WATCH a;SET a 1;MULTI;FOO")
    assert feed(probe, "EXEC") == ABORTED


def test_watch_sees_expiry(probe: Probe) -> None:
    feed(probe, "SET a 1 PX 100;WATCH a")
    probe.server.now_ms += 200
    assert feed(probe, "MULTI;PING;EXEC") == OK + QUEUED + NULL
    # It was gone already when it was watched: nothing changes when it is found expired.
    feed(probe, "SET a 1 PX 100")
    probe.server.now_ms += 200
    assert feed(probe, "WATCH a;GET a;MULTI;PING;EXEC") == OK + b"$-1\r\n" + OK + QUEUED + b"*1\r\n+PONG\r\n"


def test_null_in_resp3(probe: Probe) -> None:
    feed(probe, "HELLO 3;WATCH a;SET a 1")
    assert feed(probe, "MULTI;EXEC") == OK + b"_\r\n"


def test_watches_end_with_the_session(probe: Probe) -> None:
    other = Probe(probe.server)
    feed(other, "WATCH a b c;MULTI;SET a 1")
    other.close()
    assert feed(probe, "SET a 2;GET a") == OK + b"$1\r\n2\r\n"


def test_memory_limit_at_queue_time_and_at_exec(probe: Probe) -> None:
    oom = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    feed(probe, "SET a 1;MULTI;SET b 2")
    probe.server.memory_bytes_max = 1
    assert feed(probe, "EXEC") == b"-EXECABORT Transaction discarded because of: " + oom[1:]
    assert feed(probe, "SET c 3;GET a;DEL a;MULTI;GET a;EXEC") == oom + b"$1\r\n1\r\n:1\r\n" + OK + oom + ABORTED
    assert feed(probe, "MULTI;DISCARD;MULTI;EXEC") == OK * 3 + b"*0\r\n"


def test_python_commands_are_answered_first_and_spliced_in_order(probe: Probe) -> None:
    assert feed(probe, "MULTI;SET a 1;CONFIG GET x;GET a;DEBUG JMAP;INFO;PING;EXEC;GET a") == OK + QUEUED * 6
    assert (probe.state, probe.waiting) == ("parked", [b"CONFIG", b"GET", b"x"])
    assert probe.server.count() == 0
    assert probe.resume(b"*0\r\n") == b""
    assert (probe.state, probe.waiting) == ("parked", [b"DEBUG", b"JMAP"])
    assert probe.resume(b"+map\r\n") == b""
    assert probe.waiting == [b"INFO"]
    assert probe.resume(b"$2\r\nhi\r\n") == (
        b"*6\r\n+OK\r\n*0\r\n$1\r\n1\r\n+map\r\n$2\r\nhi\r\n+PONG\r\n" + b"$1\r\n1\r\n"
    )
    assert probe.state == "open"


def test_a_watch_broken_while_python_works(probe: Probe) -> None:
    feed(probe, "WATCH a;MULTI;SET a 1;INFO;EXEC;PING")
    feed(Probe(probe.server), "SET a 2")
    assert probe.resume(b"+info\r\n") == NULL + b"+PONG\r\n"
    assert feed(probe, "GET a") == b"$1\r\n2\r\n"


def test_a_broken_watch_spares_python(probe: Probe) -> None:
    assert feed(probe, "WATCH a;SET a 1;MULTI;INFO;EXEC").endswith(QUEUED + NULL)
    assert probe.state == "open"


def test_a_session_may_end_while_exec_waits(probe: Probe) -> None:
    other = Probe(probe.server)
    feed(other, "WATCH a;MULTI;INFO;SET a 1;CONFIG GET x;EXEC")
    other.resume(b"+first\r\n")
    other.close()
    assert feed(probe, "SET a 2") == OK


def test_arguments_outlive_the_buffer(probe: Probe) -> None:
    value = bytes(range(256)) * 300
    probe.execute("MULTI")
    probe.execute("SET", "big", value)
    probe.execute("SET", "small", value[:300])
    assert probe.execute("EXEC") == b"*2\r\n+OK\r\n+OK\r\n"
    assert probe.execute("GET", "big") == b"$%d\r\n%s\r\n" % (len(value), value)
    assert probe.execute("GET", "small") == b"$300\r\n%s\r\n" % value[:300]


def test_queue_is_counted_and_given_back(probe: Probe) -> None:
    before = probe.memory_bytes
    feed(probe, "MULTI;" + ";".join(f"SET key:{index} value" for index in range(100)))
    assert probe.memory_bytes > before + 100 * 16
    assert b" multi=100 " in feed(Probe(probe.server), "CLIENT LIST")
    feed(probe, "EXEC")
    assert probe.memory_bytes == before


@pytest.mark.parametrize("shards", [1, 16, 256])
def test_any_number_of_shards(shards: int) -> None:
    probe = Probe(Server(shards=shards))
    feed(probe, "WATCH " + " ".join(f"w{index}" for index in range(50)))
    pairs = " ".join(f"k{index} v" for index in range(300))
    reply = feed(probe, f"MULTI;MSET {pairs};DBSIZE;EXEC")
    assert reply.endswith(b"*2\r\n+OK\r\n:300\r\n")
