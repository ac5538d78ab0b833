"""Commands on the connection: texts and states as a Redis client knows them."""

from __future__ import annotations

import pytest

from probes.sessions import Probe, Server

HELLO2 = (
    b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n"
    b"$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:%d\r\n"
)
WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOAUTH = b"-NOAUTH Authentication required.\r\n"
BAD_NAME = b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def guarded() -> Server:
    server = Server()
    server.handle.set_password(b"s3cret")
    return server


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"PING", b"+PONG\r\n"),
        (b"ping hello", b"$5\r\nhello\r\n"),
        (b"PING a b", b"-ERR wrong number of arguments for 'ping' command\r\n"),
        (b"ECHO x", b"$1\r\nx\r\n"),
        (b"ECHO", b"-ERR wrong number of arguments for 'echo' command\r\n"),
        (b"TIME", b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"),
        (b"SELECT 15", b"+OK\r\n"),
        (b"SELECT 16", b"-ERR DB index is out of range\r\n"),
        (b"SELECT -1", b"-ERR DB index is out of range\r\n"),
        (b"SELECT x", b"-ERR value is not an integer or out of range\r\n"),
        (b"SELECT 99999999999", b"-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
        (b"AUTH a b c", b"-ERR syntax error\r\n"),
        (b"AUTH default anything", b"+OK\r\n"),
        (b"AUTH Default anything", WRONGPASS),
        (b"AUTH bob a", WRONGPASS),
        (b"HELLO x", b"-ERR Protocol version is not an integer or out of range\r\n"),
        (b"HELLO 4", b"-NOPROTO unsupported protocol version\r\n"),
        (b"HELLO 1", b"-NOPROTO unsupported protocol version\r\n"),
        (b"HELLO 3 AUTH a", b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
        (b"HELLO 3 SETNAME", b"-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
        (b'HELLO 3 SETNAME "a b"', BAD_NAME),
        (b"HELLO 2 AUTH bob x", WRONGPASS),
        (b"FOO", b"-ERR unknown command 'FOO', with args beginning with: \r\n"),
        (b"FOO a b", b"-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n"),
        (b'"a\\r\\nb" c', b"-ERR unknown command 'a  b', with args beginning with: 'c' \r\n"),
        (b"FOO " + b"x" * 130 + b" y",
         b"-ERR unknown command 'FOO', with args beginning with: '" + b"x" * 128 + b"' \r\n"),
        (b"CLIENT", b"-ERR wrong number of arguments for 'client' command\r\n"),
        (b"client nope", b"-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n"),
        (b"CLIENT MAINT_NOTIFICATIONS ON", b"-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"),
        (b"CLIENT LIST x", b"-ERR syntax error\r\n"),
        (b"CLIENT LIST TYPE foo", b"-ERR Unknown client type 'foo'\r\n"),
        (b"CLIENT LIST TYPE pubsub", b"$0\r\n\r\n"),
        (b"CLIENT LIST ID x", b"-ERR Invalid client ID\r\n"),
        (b"CLIENT LIST ID 999", b"$0\r\n\r\n"),
        (b"CLIENT LIST ID", b"-ERR syntax error\r\n"),
        (b"CLIENT INFO x", b"-ERR wrong number of arguments for 'client|info' command\r\n"),
        (b"CLIENT KILL", b"-ERR wrong number of arguments for 'client|kill' command\r\n"),
        (b"CLIENT KILL nobody:1", b"-ERR No such client\r\n"),
        (b"CLIENT KILL a b", b"-ERR syntax error\r\n"),
        (b"CLIENT KILL ID x", b"-ERR client-id should be greater than 0\r\n"),
        (b"CLIENT KILL ID 0", b"-ERR client-id should be greater than 0\r\n"),
        (b"CLIENT KILL TYPE foo", b"-ERR Unknown client type 'foo'\r\n"),
        (b"CLIENT KILL USER foo", b"-ERR No such user 'foo'\r\n"),
        (b"CLIENT KILL ID 1 SKIPME maybe", b"-ERR syntax error\r\n"),
        (b"CLIENT KILL ID 1 ADDR", b"-ERR syntax error\r\n"),
        (b'CLIENT SETNAME "a b"', BAD_NAME),
        (b"CLIENT NO-EVICT x", b"-ERR syntax error\r\n"),
        (b"CLIENT NO-TOUCH on", b"+OK\r\n"),
        (b"CLIENT REPLY x", b"-ERR syntax error\r\n"),
        (b"CLIENT SETINFO lib-foo x", b"-ERR Unrecognized option 'lib-foo'\r\n"),
        (b'CLIENT SETINFO LIB-NAME "a b"',
         b"-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n"),
        (b"", b""),
    ],
)
def test_replies(probe: Probe, line: bytes, reply: bytes) -> None:
    assert probe.feed(line + b"\r\n") == reply
    assert probe.state == "open"
    assert probe.feed(b"PING\r\n") == b"+PONG\r\n"


def test_auth_without_a_password() -> None:
    reply = Probe().feed(b"AUTH x\r\n")
    assert reply.startswith(b"-ERR AUTH <password> called without any password configured for the default user.")


def test_hello_switches_the_protocol_for_what_follows(probe: Probe) -> None:
    assert probe.feed(b"HELLO\r\n").startswith(HELLO2 % probe.id)
    replies = probe.feed(b"GET no\r\nHELLO 3 SETNAME bob\r\nGET no\r\nCLIENT GETNAME\r\nHELLO 2\r\nGET no\r\n")
    assert replies.startswith(b"$-1\r\n%7\r\n") and replies.endswith(b"*0\r\n$-1\r\n")
    assert b"\r\n_\r\n$3\r\nbob\r\n*14\r\n" in replies


def test_names_and_library(probe: Probe) -> None:
    assert probe.feed(b"CLIENT GETNAME\r\nCLIENT SETNAME bob\r\nCLIENT GETNAME\r\n") == b"$-1\r\n+OK\r\n$3\r\nbob\r\n"
    assert probe.feed(b"CLIENT SETINFO LIB-NAME redis-py\r\nCLIENT SETINFO lib-ver 7.0\r\n") == b"+OK\r\n+OK\r\n"
    line = probe.feed(b"CLIENT INFO\r\n")
    assert b" name=bob " in line and line.rstrip().endswith(b"lib-name=redis-py lib-ver=7.0")
    assert probe.feed(b'CLIENT SETNAME ""\r\nCLIENT GETNAME\r\n') == b"+OK\r\n$-1\r\n"


def test_select_chooses_a_database(probe: Probe) -> None:
    assert probe.feed(b"SET k 0\r\nSELECT 3\r\nGET k\r\nSET k 3\r\nSELECT 0\r\nGET k\r\n") == (
        b"+OK\r\n+OK\r\n$-1\r\n+OK\r\n+OK\r\n$1\r\n0\r\n"
    )
    assert (probe.server.count(0), probe.server.count(3)) == (1, 1)


def test_quit_drops_what_follows(probe: Probe) -> None:
    assert probe.feed(b"PING\r\nQUIT now\r\nPING\r\n") == b"+PONG\r\n+OK\r\n"
    assert (probe.state, probe.unconsumed) == ("closing", 0)


@pytest.mark.parametrize(
    "request_head",
    [b"POST / HTTP/1.1\r\n", b"post\r\n", b"GET / HTTP/1.1\r\nHost: localhost:6379\r\n", b"PUT /\r\nhOST:\r\n"],
)
def test_a_browsers_request_ends_the_connection_before_its_body(probe: Probe, request_head: bytes) -> None:
    probe.feed(b"SET k v\r\n")
    replies = probe.feed(request_head + b"\r\nFLUSHALL\r\n\r\n")
    assert replies.startswith(b"-ERR ") and replies.count(b"\r\n") == request_head.count(b"\r\n")
    assert (probe.state, probe.unconsumed) == ("closing", 0)
    assert Probe(probe.server).feed(b"EXISTS k\r\n") == b":1\r\n"


def test_reset_makes_the_connection_new(probe: Probe) -> None:
    probe.feed(b"HELLO 3\r\nSELECT 5\r\nCLIENT SETNAME bob\r\nCLIENT NO-TOUCH ON\r\nMULTI\r\nSET k v\r\n")
    assert probe.feed(b"RESET\r\n") == b"+RESET\r\n"
    assert probe.feed(b"GET k\r\nCLIENT GETNAME\r\nEXEC\r\n") == b"$-1\r\n$-1\r\n-ERR EXEC without MULTI\r\n"
    assert b" flags=N db=0 " in probe.feed(b"CLIENT INFO\r\n")


def test_password_before_anything_else(guarded: Server) -> None:
    probe = Probe(guarded)
    assert probe.feed(b"PING\r\nGET k\r\n") == NOAUTH * 2
    assert probe.feed(b"FOO\r\nGET\r\n") == (
        b"-ERR unknown command 'FOO', with args beginning with: \r\n"
        b"-ERR wrong number of arguments for 'get' command\r\n"
    )
    assert probe.feed(b"HELLO 3\r\n").startswith(b"-NOAUTH HELLO must be called with the client already authenticated")
    assert probe.feed(b"AUTH wrong\r\nAUTH s3cre\r\nAUTH s3crett\r\nAUTH bob s3cret\r\nAUTH \"\"\r\n") == WRONGPASS * 5
    assert guarded.handle.auth_failures == 5
    assert probe.feed(b"AUTH s3cret\r\nPING\r\n") == b"+OK\r\n+PONG\r\n"
    replies = probe.feed(b"RESET\r\nPING\r\nAUTH default s3cret\r\nPING\r\n")
    assert replies == b"+RESET\r\n" + NOAUTH + b"+OK\r\n+PONG\r\n"


def test_hello_authenticates(guarded: Server) -> None:
    probe = Probe(guarded)
    assert probe.feed(b"HELLO 3 AUTH default nope\r\nPING\r\n") == WRONGPASS + NOAUTH
    reply = probe.feed(b"HELLO 3 AUTH default s3cret SETNAME bob\r\nCLIENT GETNAME\r\n")
    assert reply.startswith(b"%7\r\n") and reply.endswith(b"$3\r\nbob\r\n")


def test_limits_before_authentication_end_with_it(guarded: Server) -> None:
    big = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + b"x" * 20000 + b"\r\n"
    probe = Probe(guarded)
    assert probe.feed(b"AUTH s3cret\r\n" + big) == b"+OK\r\n+OK\r\n"
    probe = Probe(guarded)
    assert probe.feed(b"PING\r\n" + big) == NOAUTH + b"-ERR Protocol error: unauthenticated bulk length\r\n"
    assert probe.state == "closing"
    probe = Probe(guarded)
    assert probe.feed(b"*11\r\n") == b"-ERR Protocol error: unauthenticated multibulk length\r\n"


def test_a_new_password_leaves_sessions_in(guarded: Server) -> None:
    inside, outside = Probe(guarded), Probe(guarded)
    inside.feed(b"AUTH s3cret\r\n")
    guarded.handle.set_password(b"other")
    assert inside.feed(b"PING\r\n") == b"+PONG\r\n"
    assert outside.feed(b"AUTH s3cret\r\n") == WRONGPASS
    guarded.handle.set_password(b"")
    assert outside.feed(b"PING\r\n") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ("CLIENT REPLY SKIP;PING;PING a", b"$1\r\na\r\n"),
        ("CLIENT REPLY OFF;PING;CLIENT REPLY SKIP;FOO;CLIENT REPLY ON;PING a", b"+OK\r\n$1\r\na\r\n"),
        ("CLIENT REPLY SKIP;CLIENT REPLY ON;PING", b"+OK\r\n+PONG\r\n"),
        ("CLIENT REPLY SKIP;MULTI;PING;EXEC", b"+QUEUED\r\n*1\r\n+PONG\r\n"),
        ("CLIENT REPLY OFF;SET k v;RESET;GET k", b"+RESET\r\n$1\r\nv\r\n"),
        ("CLIENT REPLY OFF;*x", b""),
        ("CLIENT REPLY SKIP;KEYS *;PING", b"+PONG\r\n"),
        ("MULTI;CLIENT REPLY SKIP;PING;EXEC;PING;PING a", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$1\r\na\r\n"),
    ],
)
def test_reply_modes(probe: Probe, lines: str, reply: bytes) -> None:
    assert probe.feed("\r\n".join([*lines.split(";"), ""]).encode()) == reply


def test_reply_off_drops_pythons_answer_too(probe: Probe) -> None:
    assert probe.feed(b"CLIENT REPLY SKIP\r\nINFO\r\nPING\r\n") == b""
    assert probe.waiting == [b"INFO"]
    assert probe.resume(b"$2\r\nhi\r\n") == b"+PONG\r\n"


def test_client_list_shows_all(probe: Probe) -> None:
    other = Probe(probe.server, address="[::1]:7")
    other.feed(b"SELECT 2\r\nMULTI\r\nPING\r\n")
    text = probe.feed(b"CLIENT LIST\r\n").split(b"\n")
    assert text[1].startswith(b"id=%d addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=-1 name= age=0 idle=0" % probe.id)
    assert b" addr=[::1]:7 " in text[2] and b" flags=x db=2 " in text[2] and b" multi=1 " in text[2]
    assert b" cmd=ping " in text[2]
    assert probe.feed(b"CLIENT LIST ID %d 77\r\n" % other.id).count(b"id=") == 1
    assert probe.feed(b"CLIENT LIST TYPE normal\r\n").count(b"addr=") == 4
    other.close()
    assert probe.feed(b"CLIENT LIST\r\n").count(b" addr=") == 1


def test_kill_wakes_and_closes_others(probe: Probe) -> None:
    others = [Probe(probe.server, address=f"10.0.0.1:{port}") for port in range(1, 5)]
    assert probe.feed(b"CLIENT KILL 10.0.0.1:1\r\nCLIENT KILL ADDR 10.0.0.1:2\r\n") == b"+OK\r\n:1\r\n"
    ids = (others[2].id, probe.id)
    assert probe.feed(b"CLIENT KILL ID %d SKIPME no\r\nCLIENT KILL ID %d SKIPME yes\r\n" % ids) == b":1\r\n:0\r\n"
    assert [other.killed for other in others] == [True, True, True, False]
    assert [other.woken for other in others] == [1, 1, 1, 0]
    assert (others[0].feed(b"PING\r\n"), others[0].state) == (b"", "closing")
    probe.server.now_ms += 5000
    both = b"CLIENT KILL MAXAGE 6 SKIPME no\r\nCLIENT KILL LADDR 127.0.0.1:6379 MAXAGE 5\r\n"
    assert probe.feed(both) == b":0\r\n:4\r\n"


def test_kill_of_oneself_answers_first(probe: Probe) -> None:
    assert probe.feed(b"CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n") == b":1\r\n"
    assert (probe.state, probe.killed) == ("closing", False)


def test_help_lists_every_subcommand(probe: Probe) -> None:
    text = probe.feed(b"CLIENT HELP\r\n")
    count = int(text[1 : text.index(b"\r\n")])
    assert text.count(b"\r\n+") == count
    for name in b"GETNAME ID INFO KILL LIST NO-EVICT NO-TOUCH REPLY SETINFO SETNAME HELP".split():
        assert b"\r\n+" + name in text
