"""Long commands on other threads: which they are, what they answer, and what becomes of what is in their way."""

from __future__ import annotations

import threading

import kvcy_server
import pytest
import resp
from kvcy_server import Client

from probes.sessions import Probe, Server

LONG = 1500
NAMES = [b"key:%d" % number for number in range(LONG)]
PAIRS = [word for name in NAMES for word in (name, name)]
OK, QUEUED = b"+OK\r\n", b"+QUEUED\r\n"


@pytest.fixture
def server() -> Server:
    made = Server()
    made.serve_others()
    return made


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def begin(probe: Probe, *commands: bytes) -> None:
    """MULTI, and these commands queued."""
    lines = b"".join(command + b"\r\n" for command in commands)
    assert probe.feed(b"MULTI\r\n" + lines) == OK + QUEUED * len(commands)


# --- what is long


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ([b"MSET", *PAIRS], OK),
        ([b"MGET", *NAMES], b"*%d\r\n" % LONG + b"$-1\r\n" * LONG),
        ([b"DEL", *NAMES], b":0\r\n"),
        ([b"UNLINK", *NAMES], b":0\r\n"),
        ([b"EXISTS", *NAMES], b":0\r\n"),
        ([b"TOUCH", *NAMES], b":0\r\n"),
        ([b"WATCH", *NAMES], OK),
    ],
    ids=lambda value: value[0].decode() if isinstance(value, list) else "",
)
def test_many_keys_go_to_a_helper(server: Server, words: list[bytes], reply: bytes) -> None:
    probe = Probe(server)
    assert probe.feed(resp.encode(words) + b"PING\r\n") == b""
    assert probe.state == "parked"
    assert probe.help() == reply + b"+PONG\r\n"
    assert probe.state == "open"


def test_few_keys_do_not(server: Server) -> None:
    probe = Probe(server)
    assert probe.execute(b"EXISTS", *NAMES[1:]) == b":0\r\n"
    assert probe.execute(b"MSET", *PAIRS[2:]) == OK
    begin(probe, *[b"SET counter 1"] * (LONG - 1))
    assert probe.feed(b"EXEC\r\n") == b"*%d\r\n" % (LONG - 1) + OK * (LONG - 1)


def test_who_serves_nobody_else_runs_them_himself() -> None:
    probe = Probe(Server())
    assert probe.execute(b"EXISTS", *NAMES) == b":0\r\n"


def test_long_transactions_go_to_a_helper(server: Server) -> None:
    probe = Probe(server)
    begin(probe, *[b"INCR counter"] * LONG)
    assert probe.feed(b"EXEC\r\nGET counter\r\n") == b""
    assert probe.help() == b"*%d\r\n" % LONG + b"".join(b":%d\r\n" % (n + 1) for n in range(LONG)) + bulk(b"%d" % LONG)


@pytest.mark.parametrize("walk", [b"KEYS *", b"KRANGE - +"])
def test_so_do_those_that_walk_over_all_keys(server: Server, walk: bytes) -> None:
    probe = Probe(server)
    probe.execute(b"SET", b"a", b"1")
    begin(probe, walk)
    assert probe.feed(b"EXEC\r\n") == b""
    assert probe.help() == b"*1\r\n*1\r\n" + bulk(b"a")


def test_a_long_transaction_whose_watch_is_broken(server: Server) -> None:
    probe, other = Probe(server), Probe(server)
    probe.execute(b"WATCH", b"a")
    begin(probe, *[b"INCR counter"] * LONG)
    assert probe.feed(b"EXEC\r\n") == b""
    other.execute(b"SET", b"a", b"1")
    assert probe.help() == b"*-1\r\n"
    assert other.execute(b"EXISTS", b"counter") == b":0\r\n"


def test_a_long_transaction_is_dropped_by_a_helper(server: Server) -> None:
    probe = Probe(server)
    begin(probe, *[b"INCR counter"] * LONG)
    assert probe.feed(b"DISCARD\r\nPING\r\n") == b""
    assert probe.help() == OK + b"+PONG\r\n"


def test_a_long_transaction_in_which_python_answers_something(server: Server) -> None:
    probe = Probe(server)
    begin(probe, b"TIME", *[b"INCR counter"] * LONG, b"INFO", b"CONFIG GET port")
    assert probe.feed(b"EXEC\r\nGET counter\r\n") == b""
    assert probe.waiting == [b"INFO"]
    assert probe.resume(b"+info\r\n") == b""
    assert probe.waiting == [b"CONFIG", b"GET", b"port"]
    assert probe.resume(b"+port\r\n") == b""
    assert probe.state == "parked"
    replied = probe.help()
    assert replied.startswith(b"*%d\r\n*2\r\n" % (LONG + 3))
    assert replied.endswith(b":%d\r\n+info\r\n+port\r\n" % LONG + bulk(b"%d" % LONG))
    assert server.handle.command_stats()["exec"][0] == 1


def test_watches_broken_while_python_answered(server: Server) -> None:
    probe, other = Probe(server), Probe(server)
    probe.execute(b"WATCH", b"a")
    begin(probe, *[b"INCR counter"] * LONG, b"INFO")
    probe.feed(b"EXEC\r\n")
    assert probe.resume(b"+info\r\n") == b""
    other.execute(b"SET", b"a", b"1")
    assert probe.help() == b"*-1\r\n"
    assert other.execute(b"EXISTS", b"counter") == b":0\r\n"


def test_dropping_what_python_would_have_had_part_in(server: Server) -> None:
    probe = Probe(server)
    begin(probe, *[b"INCR counter"] * LONG, b"INFO")
    assert probe.feed(b"DISCARD\r\n") == b""
    assert probe.help() == OK


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_session_that_ends_while_exec_waits(server: Server, answers: int) -> None:
    probe = Probe(server)
    begin(probe, *[b"INCR counter"] * LONG, b"INFO", b"INFO")
    probe.feed(b"EXEC\r\n")
    for _ in range(answers):
        probe.resume(b"+info\r\n")
    probe.close()
    assert Probe(server).execute(b"EXISTS", b"counter") == b":0\r\n"


def test_no_reply_is_no_reply(server: Server) -> None:
    probe = Probe(server)
    probe.feed(b"CLIENT REPLY SKIP\r\n" + resp.encode([b"EXISTS", *NAMES]))
    assert probe.help() == b""
    assert probe.feed(b"PING\r\n") == b"+PONG\r\n"


def test_a_session_that_ends_before_its_helper_has_begun(server: Server) -> None:
    probe = Probe(server)
    begin(probe, *[b"INCR counter"] * LONG)
    probe.feed(b"EXEC\r\n")
    probe.close()


# --- what comes in many pieces, and is handed over as it is

MANY = [b"key:%d" % number for number in range(5000)]
PIECE = 10_000


def feed_in_pieces(probe: Probe, data: bytes) -> bytes:
    return b"".join(probe.feed(data[start : start + PIECE]) for start in range(0, len(data), PIECE))


def test_a_command_in_many_pieces(server: Server) -> None:
    probe = Probe(server)
    sent = b"SET key:1 a\r\n" + resp.encode([b"MGET", *MANY]) + b"PING\r\n"
    assert feed_in_pieces(probe, sent) == OK
    assert probe.state == "parked"
    assert probe.help() == b"*5000\r\n$-1\r\n" + bulk(b"a") + b"$-1\r\n" * 4998 + b"+PONG\r\n"
    assert probe.unconsumed == 0
    assert probe.memory_bytes == Probe(server).memory_bytes


def test_it_is_queued(server: Server) -> None:
    probe = Probe(server)
    sent = b"MULTI\r\n" + resp.encode([b"MSET", *MANY]) + b"GET key:4998\r\nEXEC\r\n"
    assert feed_in_pieces(probe, sent) == OK + QUEUED * 2
    assert probe.help() == b"*2\r\n" + OK + bulk(b"key:4999")


def test_it_is_dropped(server: Server) -> None:
    probe = Probe(server)
    sent = b"MULTI\r\n" + resp.encode([b"MSET", *MANY]) + b"DISCARD\r\n"
    assert feed_in_pieces(probe, sent) == OK + QUEUED
    assert probe.help() == OK
    assert probe.execute(b"EXISTS", b"key:0") == b":0\r\n"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ([b"NONSENSE", *MANY], b"-ERR unknown command 'NONSENSE', with args beginning with: 'key:0' "),
        ([b"GET", *MANY], b"-ERR wrong number of arguments for 'get' command\r\n"),
        ([b"MSET", *MANY, b"odd"], b"-ERR wrong number of arguments for 'mset' command\r\n"),
    ],
    ids=["unknown", "arity", "handler"],
)
def test_it_is_refused(server: Server, words: list[bytes], reply: bytes) -> None:
    probe = Probe(server)
    replied = feed_in_pieces(probe, resp.encode(words) + b"PING\r\n")
    if not replied:
        replied = probe.help()
    assert replied.startswith(reply)
    assert replied.endswith(b"\r\n+PONG\r\n")


def test_python_gets_it(server: Server) -> None:
    probe = Probe(server)
    feed_in_pieces(probe, resp.encode([b"CONFIG", b"GET", *MANY]))
    assert probe.waiting == [b"CONFIG", b"GET", *MANY]
    assert probe.resume(b"+all\r\n") == b"+all\r\n"


def test_who_serves_nobody_else_runs_it_himself() -> None:
    probe = Probe(Server())
    assert feed_in_pieces(probe, resp.encode([b"MSET", *MANY])) == OK
    assert probe.execute(b"GET", b"key:4998") == bulk(b"key:4999")


def test_it_waits_behind_what_is_postponed(server: Server) -> None:
    probe = Probe(server)
    command = resp.encode([b"EXISTS", *MANY])
    for start in range(0, len(command) - 1000, PIECE):
        assert probe.feed(command[start : min(start + PIECE, len(command) - 1000)]) == b""
    server.begin_long_command()
    assert probe.feed(command[-1000:] + b"PING\r\n", 1) == b""
    assert probe.state == "parked"
    server.end_long_command()
    assert probe.help() == b":0\r\n+PONG\r\n"


def test_it_is_postponed_itself(server: Server) -> None:
    probe = Probe(server)
    command = resp.encode([b"WATCH", *MANY])
    server.begin_long_command()
    for start in range(0, len(command), PIECE):
        assert probe.feed(command[start : start + PIECE], 1) == b""
    assert probe.state == "continuing"
    assert probe.feed(b"PING\r\n", 1) == b""
    server.end_long_command()
    assert probe.feed() == b""
    assert probe.help() == OK + b"+PONG\r\n"


def test_it_is_forgotten_with_its_session(server: Server) -> None:
    for cut in (100, 30_000, len(resp.encode([b"WATCH", *MANY]))):
        probe = Probe(server)
        server.begin_long_command()
        probe.feed(resp.encode([b"WATCH", *MANY])[:cut], 1)
        server.end_long_command()
        probe.close()


# --- what is in their way


def test_what_finds_its_shard_locked_is_tried_again(server: Server) -> None:
    probe = Probe(server)
    server.begin_long_command()
    assert probe.feed(b"PING\r\nSET a 1\r\nGET a\r\nNONSENSE\r\n", 1) == b"+PONG\r\n"
    assert probe.state == "continuing"
    assert probe.feed(b"INCR a\r\n", 1) == b""
    server.end_long_command()
    assert probe.feed() == OK + bulk(b"1") + b"-ERR unknown command 'NONSENSE', with args beginning with: \r\n:2\r\n"
    assert probe.state == "open"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"MGET a b", b"*2\r\n" + bulk(b"1") + b"$-1\r\n"),
        (b"DEL a b", b":1\r\n"),
        (b"KEYS *", b"*1\r\n" + bulk(b"a")),
        (b"KRANGE - +", b"*1\r\n" + bulk(b"a")),
        (b"RANDOMKEY", bulk(b"a")),
        (b"WATCH a", OK),
        (b"FLUSHALL", OK),
    ],
)
def test_all_kinds_of_commands_wait(server: Server, command: bytes, reply: bytes) -> None:
    probe = Probe(server)
    probe.execute(b"SET", b"a", b"1")
    server.begin_long_command()
    assert probe.feed(command + b"\r\n", 3) == b""
    server.end_long_command()
    assert probe.feed() == reply


@pytest.mark.parametrize("ending", [b"UNWATCH", b"DISCARD", b"EXEC"])
def test_whoever_watches_waits_with_the_end_of_it(server: Server, ending: bytes) -> None:
    probe = Probe(server)
    probe.feed(b"WATCH a\r\n" + (b"" if ending == b"UNWATCH" else b"MULTI\r\n"))
    server.begin_long_command()
    assert probe.feed(ending + b"\r\n", 2) == b""
    server.end_long_command()
    assert probe.feed() == (b"*0\r\n" if ending == b"EXEC" else OK)


def test_a_walk_under_way_pauses(server: Server) -> None:
    probe = Probe(server)
    probe.feed(resp.encode([b"MSET", *PAIRS]))
    probe.help()
    assert probe.feed(b"KEYS *\r\n", 1) == b""
    server.begin_long_command()
    assert probe.feed(b"", 50) == b""
    server.end_long_command()
    assert probe.feed().startswith(b"*%d\r\n" % LONG)


def test_a_long_command_behind_a_postponed_one(server: Server) -> None:
    probe = Probe(server)
    server.begin_long_command()
    assert probe.feed(b"SET key:0 x\r\n" + resp.encode([b"EXISTS", *NAMES]), 1) == b""
    server.end_long_command()
    assert probe.feed() == OK
    assert probe.help() == b":1\r\n"


def test_a_session_that_ends_while_it_waits(server: Server) -> None:
    probe = Probe(server)
    server.begin_long_command()
    probe.feed(b"SET a 1\r\nSET b 1\r\n", 1)
    probe.close()
    server.end_long_command()
    assert server.count() == 0


# --- a true server


@pytest.fixture(params=["tcp", "unix"])
def client(request: pytest.FixtureRequest) -> Client:
    running = request.getfixturevalue("server_process")
    return running.connect() if request.param == "tcp" else running.connect_unix()


@pytest.fixture(scope="module")
def server_process():  # type: ignore[no-untyped-def]
    with kvcy_server.running("--io-threads", "2") as running:
        yield running


def test_a_server_runs_them(client: Client) -> None:
    with client:
        client.send([b"MSET", *PAIRS], [b"MGET", *NAMES], [b"PING"], [b"DEL", *NAMES], [b"DBSIZE"])
        assert client.read() == OK
        assert resp.split(client.read().partition(b"\r\n")[2])[0] == [bulk(name) for name in NAMES]
        assert [client.read() for _ in range(3)] == [b"+PONG\r\n", b":%d\r\n" % LONG, b":0\r\n"]


def test_each_is_one_step_for_all(server_process: kvcy_server.Server) -> None:
    """Two clients write all keys with long commands, others read some of them: always from one and the same write."""
    ends = threading.Event()
    wrong = []

    def write(text: bytes) -> None:
        with server_process.connect() as writer:
            words = [word for name in NAMES for word in (name, text)]
            while not ends.is_set():
                assert writer.run(b"MSET", *words) == OK
                writer.send([b"MULTI"], *([b"SET", name, text] for name in NAMES), [b"EXEC"])
                assert [writer.read() for _ in range(LONG + 2)][-1].startswith(b"*%d\r\n" % LONG)

    def read() -> None:
        with server_process.connect() as reader:
            for _ in range(300):
                found = set(resp.split(reader.run(b"MGET", *NAMES[::100]).partition(b"\r\n")[2])[0])
                wrong.extend(found if len(found) > 1 else [])

    with server_process.connect() as first:
        first.run(b"MSET", *(word for name in NAMES for word in (name, b"first")))
    writers = [threading.Thread(target=write, args=[text]) for text in (b"one", b"other")]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in readers:
        thread.join()
    ends.set()
    for thread in writers:
        thread.join()
    assert wrong == []


def test_a_client_that_leaves_meanwhile(server_process: kvcy_server.Server) -> None:
    for _ in range(20):
        with server_process.connect() as client:
            client.run(b"WATCH", b"something")
            client.send([b"MSET", *PAIRS])
    with server_process.connect() as client:
        assert client.run(b"PING") == b"+PONG\r\n"


def test_what_they_took_is_counted(server_process: kvcy_server.Server) -> None:
    with server_process.connect() as client:
        client.run(b"CONFIG", b"RESETSTAT")
        client.run(b"EXISTS", *NAMES)
        assert b"cmdstat_exists:calls=1," in client.run(b"INFO", b"commandstats")
