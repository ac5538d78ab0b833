"""Keyspace events: which are raised for which commands, compared with those that redis-server publishes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random

import kvcy_server
import pytest
import redis
import redis_server
import resp

from kvcy.engine.events import EVENTS, LETTERS
from kvcy.server.values import EventClasses
from probes import sessions

Event = tuple[str, int, bytes]
EVERYTHING = EventClasses().parse_word("AnmE")
KEYS = ("a", "b", "c", "missing")

# One command each, in an order in which every event comes up; ("wait",) lets keys expire.
SCRIPT = """
    set a 1 | set a 2 | set a 3 ex 100 | set a 4 keepttl | set a 5 xx | set a 6 nx | set n 1 nx px 100000 | set m 1 xx
    set a 7 get | set missing 1 get | del missing | setex a 100 x | psetex a 100000 x | setnx a y | setnx s y
    getset a z | getset g z | mset a 1 k 2 k 3 | mset a 1 b 1 | mset b 2 | msetnx a 1 q 1 | msetnx q 1 r 2
    get a | get missing | mget a missing b missing | getdel a | getdel a | getex b | getex b ex 100 | getex b persist
    getex b persist | getex b pxat 1 | getex missing ex 5 | append a x | append a y | append a z | strlen a
    strlen missing | getrange missing 0 1 | setrange a 1 zz | setrange new 2 z | setrange a 1 "" | setrange missing 0 ""
    incr i | incrby i 5 | decr i | decrby i 3 | incrbyfloat i 1.5 | set w x | incr w | incrbyfloat w 1
    exists i missing i | type i | type missing | touch i missing | ttl i | ttl missing | pttl missing
    expiretime missing
    object encoding missing | object encoding i | object refcount missing | memory usage missing
    expire i 100 | expire i 100 nx | pexpire i 100000 | expireat i 99999999999 | pexpireat i 99999999999999 | persist i
    persist i | persist missing | expire missing 5 | expire i -1 | set i 1 | pexpireat i 1 | set a 1 | set b 2
    rename a a | rename a x | rename missing y | set a 1 | rename a x | renamenx x b | renamenx x y | renamenx missing y
    copy y z | copy y z | copy y z replace | copy y y2 db 3 | copy missing z | copy y y2 db 3 replace
    move z 4 | set z 1 | move z 4 | move missing 4 | move z 5 | del y b missing y | unlink x x
    select 4 | get z | set z 2 | select 0 | set e 1 px 1 | set f 1 px 1 | set h 1 px 1 | mset e2 1 f2 1 | pexpire e2 1
    wait | set e 2 | incr f | del h | getset e2 1 | multi | set t 1 | expire t 5 | incr t | exec
    dbsize | randomkey | swapdb 0 7 | flushdb | set last 1 | flushall
"""


class Published:
    """What redis-server publishes to a subscriber, command by command."""

    def __init__(self, connection: redis_server.Connection) -> None:
        self.connection = connection
        self.subscriber = redis_server.Connection(connection.socket.getpeername())
        self.publisher = redis_server.Connection(connection.socket.getpeername())
        connection.run([["CONFIG", "SET", "notify-keyspace-events", "AnmE"]])
        self.subscriber.run([["PSUBSCRIBE", "__keyevent@*"]])
        self.rest = b""
        self.messages: list[bytes] = []  # received, and not looked at

    def run(self, command: Sequence[str]) -> list[Event]:
        """The events of a command; the pushed messages of one connection keep their order."""
        self.connection.run([command])
        self.publisher.run([["PUBLISH", "__keyevent@0__:end", "of the command"]])
        found: list[Event] = []
        while True:
            messages, self.rest = resp.split(self.rest)
            self.messages += messages
            while self.messages:  # what comes behind the end is the next command's: keys expire at any moment
                message = self.messages.pop(0)
                _, _, channel, key = (
                    part.split(b"\r\n", 1)[1][:-2] for part in resp.elements(message.split(b"\r\n", 1)[1])
                )
                where, name = channel.removeprefix(b"__keyevent@").split(b"__:", 1)
                if name == b"end":
                    return found
                found.append((name.decode(), int(where), key))
            self.rest += self.subscriber.socket.recv(1 << 16)

    def wait(self) -> list[Event]:
        time.sleep(0.02)  # the keys' clock is the system's
        return self.run(["PING"])


@pytest.fixture
def published() -> Iterator[Published]:
    with redis_server.running() as connection:
        one = Published(connection)
        yield one
        one.publisher.close()
        one.subscriber.close()


class Raised:
    """What kvcy raises for the commands of one session."""

    def __init__(self, classes: int = EVERYTHING) -> None:
        self.server = sessions.Server()
        self.probe = sessions.Probe(self.server)
        self.server.now_ms = int(time.time() * 1000)
        self.server.listen(classes)

    def run(self, command: Sequence[str]) -> list[Event]:
        self.probe.execute(*command)
        return self.server.heard()

    def wait(self) -> list[Event]:
        self.server.now_ms += 20
        return []


def commands(script: str) -> list[list[str]]:
    return [[word.replace('""', "") for word in one.split()] for line in script.split("\n") for one in line.split("|")
            if one.strip()]  # fmt: skip


def compare(ours: Raised, theirs: Published, script: Sequence[Sequence[str]]) -> set[str]:
    """Runs a script on both; the names of the events there were. Expired keys are compared in all, since redis-server
    may remove one in the background while kvcy's session, which has no such thread, waits for a command to meet it."""
    raised: list[Event] = []
    published: list[Event] = []
    for command in script:
        mine = ours.wait() if command == ["wait"] else ours.run(command)
        other = theirs.wait() if command == ["wait"] else theirs.run(command)
        raised += mine
        published += other
        assert [one for one in mine if one[0] != "expired"] == [one for one in other if one[0] != "expired"], command
    assert sorted(raised) == sorted(published)
    return {event[0] for event in raised}


def test_the_events_are_those_of_redis(published: Published) -> None:
    names = compare(Raised(), published, commands(SCRIPT))
    assert names | {"evicted"} == {name for name, _ in EVENTS}


def random_command(random: Random) -> list[str]:
    a, b = random.choice(KEYS), random.choice(KEYS)
    return random.choice([
        f"set {a} 1", f"set {a} 1 nx", f"set {a} 2 xx ex 100", f"set {a} 1 get keepttl", f"setnx {a} 1", f"incr {a}",
        f"mset {a} 1 {b} 2", f"msetnx {a} 1 {b} 1", f"append {a} 5", f"setrange {a} 2 7", f"incrbyfloat {a} 0.5",
        f"get {a}", f"mget {a} {b}", f"getdel {a}", f"getex {a} ex 100", f"getex {a} persist", f"exists {a} {b}",
        f"expire {a} 100", f"expire {a} -1", f"persist {a}", f"ttl {a}", f"rename {a} {b}", f"renamenx {a} {b}",
        f"copy {a} {b}", f"copy {a} {b} replace", f"copy {a} {b} db 1 replace", f"move {a} 1", f"del {a} {b}",
        f"unlink {a}", "select 0", "select 1", "multi", "exec", "discard", f"watch {a}",
    ]).split()  # fmt: skip


def test_random_commands(published: Published) -> None:
    random = Random(5)
    names = compare(Raised(), published, [random_command(random) for _ in range(2000)])
    assert names == {name for name, _ in EVENTS} - {"expired", "evicted"}


def test_what_has_expired_is_told_before_what_takes_its_place() -> None:
    ours = Raised()
    ours.run(["set", "a", "1", "px", "5"])
    ours.wait()
    assert ours.run(["append", "a", "1"]) == [("expired", 0, b"a"), ("new", 0, b"a"), ("append", 0, b"a")]


def test_a_read_finds_a_key_expired() -> None:
    ours = Raised()
    ours.run(["set", "a", "1", "px", "5"])
    ours.wait()
    assert sorted(ours.run(["get", "a"])) == [("expired", 0, b"a"), ("keymiss", 0, b"a")]


def test_an_expiry_in_the_past_sets_and_expires_at_once() -> None:
    ours = Raised()
    told = [("set", 0, b"a"), ("expire", 0, b"a"), ("expired", 0, b"a")]
    assert ours.run(["set", "a", "1", "pxat", "1"]) == [("new", 0, b"a"), *told]
    ours.run(["set", "a", "1"])
    assert ours.run(["set", "a", "1", "exat", "1"]) == told


def test_kdel_deletes_each() -> None:
    ours = Raised()
    ours.run(["mset", "a", "1", "b", "2", "c", "3"])
    assert sorted(ours.run(["kdel", "[a", "(c"])) == [("del", 0, b"a"), ("del", 0, b"b")]


@pytest.mark.parametrize("letter", "g$xenm")
def test_only_what_is_asked_for(letter: str) -> None:
    ours = Raised(EventClasses().parse_word(letter + "K"))
    heard: list[Event] = []
    for command in commands(SCRIPT):
        heard += ours.wait() if command == ["wait"] else ours.run(command)
    classes = dict(EVENTS)
    assert bool(heard) == (letter != "e")
    assert {classes[event[0]] for event in heard} <= {letter}
    assert sum(ours.server.event_counts.values()) == len(heard)


@pytest.mark.parametrize("classes", ["", "Anm", "lshztdKE"])
def test_nothing_is_raised_when_nobody_could_hear_it(classes: str) -> None:
    ours = Raised(EventClasses().parse_word(classes))
    for command in commands(SCRIPT):
        assert not (ours.wait() if command == ["wait"] else ours.run(command)), command
    assert not any(ours.server.event_counts.values())


# --- a running server

def counts(client: redis.Redis) -> dict[str, int]:
    # redis-py reads a=1,b=2 as a mapping, and nothing at all as an empty text
    return dict(client.info("stats")["keyspace_events"] or {})


def test_a_server_counts_its_events() -> None:
    options = ("--notify-keyspace-events", "Ex$en", "--appendonly", "no", "--save", "")
    with kvcy_server.running(*options) as server, redis.Redis(port=server.port) as client:
        assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "$xenE"}
        assert counts(client) == {}
        client.set("a", 1, px=1)
        client.append("b", "x")
        deadline = time.monotonic() + kvcy_server.TIMEOUT_S
        while "expired" not in counts(client):
            assert time.monotonic() < deadline
        assert counts(client) == {"append": 1, "expired": 1, "new": 2, "set": 1}
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", 1)
        while client.dbsize():
            assert time.monotonic() < deadline
        assert counts(client)["evicted"] == 1
        client.config_resetstat()
        assert counts(client) == {}
        client.config_set("maxmemory", 0)
        client.config_set("notify-keyspace-events", "")
        client.set("a", 1)
        assert counts(client) == {}


def test_loading_raises_nothing() -> None:
    options = ("--appendonly", "yes", "--save", "", "--notify-keyspace-events", "KEAnm")
    with kvcy_server.running(*options) as server:
        with redis.Redis(port=server.port) as client:
            directory = client.config_get("dir")["dir"]
            client.mset({f"key:{number}": number for number in range(100)})
            assert counts(client) == {"new": 100, "set": 100}
        server.stop()
        with kvcy_server.running(*options, "--dir", directory) as again, redis.Redis(port=again.port) as client:
            assert client.dbsize() == 100
            assert counts(client) == {}
            assert client.get("none") is None
            assert counts(client) == {"keymiss": 1}


def test_letters_are_a_bit_each() -> None:
    assert len(set(LETTERS)) == len(LETTERS)
    assert all(letter in LETTERS for _, letter in EVENTS)
