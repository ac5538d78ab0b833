"""KRANGE, KCOUNT, KDEL and KEYS by the index: bounds as ZRANGEBYLEX has them, what changes meanwhile, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import kvcy_server
import pytest
import redis_server
import resp
import scripts
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from session_runner import SessionRunner

import kvcy
import kvcy.client
from probes import sessions
from probes.keyspace_probe import Keys

SCRIPTS = {
    "krange": """
        krange - + => []
        mset b 2 a 1 c 3 "" 0 => +OK
        krange - + => ["", "a", "b", "c"]
        krange [a (c => ["a", "b"]
        krange (a [c => ["b", "c"]
        krange [ + => ["", "a", "b", "c"]
        krange ( + => ["a", "b", "c"]
        krange + - => []
        krange [c [a => []
        krange + - rev => ["c", "b", "a", ""]
        krange [c (a REV => ["c", "b"]
        krange - + limit 1 2 => ["a", "b"]
        krange - + limit 3 9 => ["c"]
        krange - + limit 4 9 => []
        krange - + limit 0 0 => []
        krange - + limit -1 2 => []
        krange - + limit 1 -1 => ["a", "b", "c"]
        krange + - limit 1 2 rev withvalues => ["b", "2", "a", "1"]
        krange - + WITHVALUES LIMIT 0 1 => ["", "0"]
        krange - + limit 0 1 limit 1 1 => ["a"]
    """,
    "krange gone wrong": """
        krange a [b => -ERR min or max not valid string range item
        krange [a b => -ERR min or max not valid string range item
        krange "" + => -ERR min or max not valid string range item
        krange -- + => -ERR min or max not valid string range item
        krange - +1 => -ERR min or max not valid string range item
        krange - + limit => -ERR syntax error
        krange - + limit 1 => -ERR syntax error
        krange - + limit a 1 => -ERR value is not an integer or out of range
        krange - + limit 1 1.5 => -ERR value is not an integer or out of range
        krange - + withscores => -ERR syntax error
        krange - => -ERR wrong number of arguments for 'krange' command
    """,
    "kcount and kdel": """
        kcount - + => :0
        kdel - + => :0
        mset a 1 b 2 c 3 d 4 => +OK
        kcount - + => :4
        kcount (a [c => :2
        kcount [c [a => :0
        kcount + - => :0
        kdel (a [c => :2
        krange - + => ["a", "d"]
        kdel [x + => :0
        kdel + - => :0
        kdel - + => :2
        dbsize => :0
        kcount - => -ERR wrong number of arguments for 'kcount' command
        kdel - x => -ERR min or max not valid string range item
        kcount x + => -ERR min or max not valid string range item
    """,
    "each database has its own": """
        mset a 1 b 2 => +OK
        krange - + => ["a", "b"]
        select 1 => +OK
        krange - + => []
        set c 3 => +OK
        kcount - + => :1
        swapdb 0 1 => +OK
        krange - + => ["a", "b"]
        flushdb => +OK
        krange - + => []
        set d 1 => +OK
        krange - + => ["d"]
        move d 0 => :1
        krange - + => []
        select 0 => +OK
        krange - + => ["c", "d"]
        rename c x => +OK
        copy x w => :1
        krange - + => ["d", "w", "x"]
        flushall => +OK
        kcount - + => :0
    """,
    "what has expired is not there": """
        mset a 1 b 2 c 3 => +OK
        pexpireat b 1 => :1
        krange - + => ["a", "c"]
        set b 1 px 100000 => +OK
        krange - + => ["a", "b", "c"]
        kcount - + => :3
        persist b => :1
        kcount - + => :3
    """,
    "in a transaction": """
        mset a 1 b 2 c 3 => +OK
        multi => +OK
        krange [b + => +QUEUED
        kdel [b [b => +QUEUED
        kcount - + => +QUEUED
        exec => [["b", "c"], :1, :2]
    """,
    "keys by the index": """
        mset user:2 b user:1 a user 0 user; 0 => +OK
        kcount - + => :4
        keys user:* => ["user:1", "user:2"]
        keys user* => ["user", "user:1", "user:2", "user;"]
        keys x* => []
        keys us\\er:1* => ["user:1"]
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str) -> None:
    scripts.check(SessionRunner(), SCRIPTS[name])


def strings(reply: bytes) -> list[bytes]:
    """The strings of an array of bulk strings."""
    assert reply[:1] == b"*", reply[:50]
    return [element.split(b"\r\n", 1)[1][:-2] for element in resp.elements(reply.split(b"\r\n", 1)[1])]


def test_values_are_pairs_in_resp3() -> None:
    runner = SessionRunner(3)
    runner.run([["MSET", "a", "1", "b", "2"]])
    (reply,) = runner.run([["KRANGE", "-", "+", "WITHVALUES"]])
    assert reply == b"*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"


def test_keys_with_a_prefix_that_cannot_be_raised() -> None:
    runner = SessionRunner()
    names = [b"\xff", b"\xff\xff", b"\xff\xffa", b"a\xff", b"a\xffz", b"b"]
    runner.run([["MSET", *(word for name in names for word in (name, b"v"))], ["KCOUNT", "-", "+"]])
    for prefix in (b"\xff", b"\xff\xff", b"a\xff", b"b"):
        (reply,) = runner.run([["KEYS", prefix + b"*"]])
        assert strings(reply) == sorted(name for name in names if name.startswith(prefix))


names = st.one_of(st.integers(0, 60).map(lambda number: b"key:%03d" % number), st.binary(max_size=3))
actions = st.lists(
    st.one_of(
        st.tuples(st.just(b"SET"), names, st.sampled_from([b"v", b"v" * 60, b"v" * 3000])),
        st.tuples(st.just(b"DEL"), names),
        st.tuples(st.just(b"RENAME"), names, names),
        st.tuples(st.just(b"APPEND"), names, st.just(b"x" * 40)),
        st.tuples(st.just(b"PEXPIRE"), names, st.sampled_from([b"0", b"1000", b"5000"])),
        st.tuples(st.just(b"PERSIST"), names),
        st.tuples(st.just(b"COPY"), names, names, st.just(b"REPLACE")),
        st.tuples(st.just(b"KDEL"), names, names),
        st.tuples(st.just(b"pass"), st.sampled_from([900, 3000])),
        st.tuples(st.just(b"FLUSHALL")),
    ),
    max_size=40,
)


def apply(model: dict[bytes, int], now_ms: int, action: Sequence[bytes]) -> None:
    """Does to a dict of keys and expiries (0: none) what the command does to the store."""
    name, *words = action
    if name in (b"SET", b"APPEND"):
        model[words[0]] = model.get(words[0], 0) if name == b"APPEND" else 0
    elif name == b"DEL":
        model.pop(words[0], None)
    elif name == b"RENAME" and words[0] in model:
        model[words[1]] = model.pop(words[0])
    elif name == b"COPY" and words[0] in model and words[0] != words[1]:
        model[words[1]] = model[words[0]]
    elif name == b"PEXPIRE" and words[0] in model:
        model[words[0]] = now_ms + int(words[1])
    elif name == b"PERSIST" and words[0] in model:
        model[words[0]] = 0
    elif name == b"KDEL":
        for key in [key for key in model if words[0][1:] <= key <= words[1][1:]]:
            del model[key]
    elif name == b"FLUSHALL":
        model.clear()


@settings(max_examples=examples(150))
@given(actions)
def test_a_range_agrees_with_a_sorted_dict(steps: list[tuple]) -> None:
    server = sessions.Server()
    session = sessions.Probe(server)
    model: dict[bytes, int] = {}
    for action in steps:
        if action[0] == b"pass":
            server.now_ms += action[1]
        else:
            if action[0] == b"KDEL":
                action = (b"KDEL", b"[" + action[1], b"[" + action[2])
            session.execute(*action)
            apply(model, server.now_ms, action)
        for key in [key for key, expire_ms in model.items() if expire_ms and expire_ms <= server.now_ms]:
            del model[key]
        assert strings(session.execute("KRANGE", "-", "+")) == sorted(model)
        assert strings(session.execute("KRANGE", "+", "-", "REV")) == sorted(model, reverse=True)
        assert session.execute("KCOUNT", "-", "+") == b":%d\r\n" % len(model)


@pytest.mark.parametrize("expiring", [False, True])
def test_ranges_of_many_keys_of_which_some_have_just_come(expiring: bool) -> None:
    """Enough for trees of several leaves and full buffers."""
    draw = Random(7)
    runner = SessionRunner()
    model: set[bytes] = set()
    for _ in range(12):
        added = [b"key:%06d" % draw.randrange(10**6) for _ in range(600)]
        added += [b"family of keys with a long name:%d" % draw.randrange(10**6) for _ in range(200)]
        runner.run([["SET", name, "v", *(("PX", "100000") if expiring else ())] for name in added])
        gone = draw.sample(sorted(model), len(model) // 10) + draw.sample(added, 50)
        runner.run([["DEL", *gone]])
        model = (model | set(added)) - set(gone)
        for _ in range(20):
            low, high = sorted(draw.sample(sorted(model), 2))
            inside = sorted(name for name in model if low <= name < high)
            commands = (["KRANGE", b"[" + low, b"(" + high], ["KCOUNT", b"[" + low, b"(" + high])
            listed, counted = runner.run([*commands])
            assert strings(listed) == inside
            assert counted == b":%d\r\n" % len(inside)
            (listed,) = runner.run([["KRANGE", b"(" + high, b"[" + low, "REV", "LIMIT", "0", "50"]])
            assert strings(listed) == inside[:-51:-1]
    low, high = sorted(draw.sample(sorted(model), 2))
    inside = {name for name in model if low <= name < high}
    assert runner.run([["KDEL", b"[" + low, b"(" + high]]) == [b":%d\r\n" % len(inside)]
    assert [strings(reply) for reply in runner.run([["KRANGE", "-", "+"]])] == [sorted(model - inside)]


def test_what_happens_to_the_database_happens_to_keys_that_have_just_come() -> None:
    runner = SessionRunner()
    runner.run([["SET", "first", "v"], ["KCOUNT", "-", "+"]])
    names = [b"%03d" % (number * 37 % 100) for number in range(100)]
    runner.run([["SET", name, "v"] for name in names])
    runner.run([["SET", name, "v" * 500] for name in names[::2]])             # in other cells
    runner.run([["SWAPDB", "0", "1"], ["SET", "other", "v"]])
    assert strings(runner.run([["KRANGE", "-", "+"]])[0]) == [b"other"]
    runner.run([["SELECT", "1"]])
    assert strings(runner.run([["KRANGE", "-", "+"]])[0]) == [*sorted(names), b"first"]
    runner.run([["FLUSHDB"], ["SET", "x", "v"]])
    assert strings(runner.run([["KRANGE", "-", "+"]])[0]) == [b"x"]


# --- slices: in these sessions the clock stands still, and a feed is one turn

SIZE = 3000


class Pair:
    """A session that runs a long command, another one, and a third party's keys between each of theirs."""

    def __init__(self) -> None:
        self.server = sessions.Server()
        self.walker = sessions.Probe(self.server)
        self.other = sessions.Probe(self.server)
        self.names = [b"key:%05d" % (2 * number) for number in range(SIZE)]
        self.other.execute("MSET", *(word for name in self.names for word in (name, b"v")))

    def run(self, *command: bytes | str) -> tuple[bytes, int]:
        """The reply to a command, and how many turns it took; in each turn keys come and go."""
        reply = self.walker.feed(resp.encode(command), 1)
        turns = 1
        while self.walker.state == "continuing":
            assert reply == b""
            self.other.execute("SET", b"key:%05d" % (2 * (turns * 37 % SIZE) + 1), b"w")
            self.other.execute("DEL", b"key:%05d" % (2 * (turns * 59 % SIZE) + 1))
            reply = self.walker.feed(b"", 1)
            turns += 1
        return reply, turns


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_in_slices_lists_once_what_is_there_all_the_time(indexed: bool, reverse: bool) -> None:
    pair = Pair()
    if indexed:
        pair.run("KCOUNT", "-", "+")
    reply, _ = pair.run(*(("KRANGE", "+", "-", "REV") if reverse else ("KRANGE", "-", "+")))
    found = strings(reply)
    assert found == sorted(set(found), reverse=reverse)
    assert set(pair.names) <= set(found)


def test_a_long_deletion_is_done_in_slices() -> None:
    pair = Pair()
    reply, _ = pair.run("KDEL", "[key:01", "(key:04")
    left = strings(pair.other.execute("KRANGE", "-", "+"))
    gone = [name for name in pair.names if b"key:01" <= name < b"key:04"]
    assert int(reply[1:]) >= len(gone)
    assert not set(gone) & set(left)
    assert set(pair.names) - set(gone) <= set(left)


def test_the_session_may_end_between_two_slices() -> None:
    pair = Pair()
    assert pair.walker.feed(resp.encode(["KRANGE", "-", "+"]), 1) == b""
    assert pair.walker.state == "continuing"
    pair.walker.close()
    assert strings(pair.other.execute("KRANGE", "-", "+")) == pair.names


# --- compaction and upkeep

def test_compaction_and_upkeep_keep_the_index_right() -> None:
    keys = Keys(shards=2)
    keys.ordered_always(True)
    alive = set()
    for number in range(20_000):
        name = b"%06d" % (number * 7919 % 1_000_003)
        keys.put(name, b"v" * 20)
        alive.add(name)
        if number % 1000 == 0:
            keys.upkeep(2)
    while keys.upkeep(8):
        pass
    assert keys.ordered() == sorted(alive)
    for name in Random(1).sample(sorted(alive), 19_000):
        keys.delete(name)
        alive.remove(name)
    full = keys.memory()
    while keys.upkeep(8):
        pass
    assert keys.memory() < full / 2
    assert keys.ordered() == sorted(alive)


# --- beside redis-server: the names in a sorted set, all with the same score

def random_name(draw: Random) -> bytes:
    return b"".join(draw.choice([b"a", b"b", b"\0", b"\xff", b"ab"]) for _ in range(draw.randrange(7)))


def random_bound(draw: Random) -> bytes:
    kind = draw.choice([b"[", b"(", b"[", b"(", b"-", b"+", b"", b"x"])
    return kind + random_name(draw) if kind in (b"[", b"(") else kind


@pytest.mark.parametrize("protocol", [2, 3])
def test_ranges_are_those_of_a_sorted_set(protocol: int) -> None:
    draw = Random(protocol)
    runner = SessionRunner(protocol)
    members = {random_name(draw) for _ in range(400)}
    ours: list[list[bytes | str]] = [["MSET", *(word for name in members for word in (name, b"v"))]]
    theirs: list[list[bytes | str]] = [["ZADD", "z", *(word for name in members for word in (b"0", name))]]
    for _ in range(600):
        start, stop = random_bound(draw), random_bound(draw)
        options: list[bytes | str] = []
        if draw.random() < 0.5:
            options += ["LIMIT", str(draw.randrange(-2, 50)), str(draw.randrange(-2, 50))]
        order: list[bytes | str] = ["REV"] if draw.random() < 0.5 else []
        ours.append(["KRANGE", start, stop, *order, *options])
        theirs.append(["ZRANGE", "z", start, stop, "BYLEX", *order, *options])
        ours.append(["KCOUNT", start, stop])
        theirs.append(["ZLEXCOUNT", "z", start, stop])
    for _ in range(20):
        start, stop = random_bound(draw), random_bound(draw)
        ours.append(["KDEL", start, stop])
        theirs.append(["ZREMRANGEBYLEX", "z", start, stop])
    with redis_server.running() as redis:
        redis.run([["HELLO", str(protocol)]])
        for command, mine, other in zip(ours[1:], runner.run(ours)[1:], redis.run(theirs)[1:], strict=True):
            assert mine == other, command


# --- the true server

def test_ranges_of_the_true_server() -> None:
    with kvcy_server.running("--ordered-index", "yes", "--appendonly", "no") as server, server.connect() as client:
        assert client.run("CONFIG", "GET", "ordered-index") == b"*2\r\n$13\r\nordered-index\r\n$3\r\nyes\r\n"
        client.send(*(["SET", f"k{number:05d}", f"{number}"] for number in range(2000)))
        for _ in range(2000):
            assert client.read() == b"+OK\r\n"
        names = [b"k%05d" % number for number in range(2000)]
        assert strings(client.run("KRANGE", "-", "+")) == names
        assert strings(client.run("KRANGE", "(k01000", "-", "REV", "LIMIT", "0", "2")) == [b"k00999", b"k00998"]
        assert client.run("KCOUNT", "[k001", "(k002") == b":100\r\n"
        assert client.run("KDEL", "[k001", "(k002") == b":100\r\n"
        assert client.run("DBSIZE") == b":1900\r\n"
        assert strings(client.run("KEYS", "k0199*")) == names[1990:]
        with server.connect_unix() as other:
            assert strings(other.run("KRANGE", "[k00099", "[k00200")) == [b"k00099", b"k00200"]


def test_a_range_deletion_is_logged(tmp_path: object) -> None:
    options = ("--appendfsync", "always", "--dir", str(tmp_path))
    with kvcy_server.running(*options) as server, server.connect() as client:
        client.run("MSET", *(word for number in range(500) for word in (f"k{number:03d}", "v")))
        assert client.run("KDEL", "[k1", "(k3") == b":200\r\n"
        server.process.kill()
        server.wait()
    with kvcy_server.running(*options) as server, server.connect() as client:
        assert client.run("KCOUNT", "-", "+") == b":300\r\n"
        assert client.run("KCOUNT", "[k1", "(k3") == b":0\r\n"


# --- the embedded store and the clients

def test_the_store_iterates_in_order() -> None:
    with kvcy.open(shards=8) as store:
        assert (store.first(), store.last(), list(store.range())) == (None, None, [])
        model = {b"%04d" % number: b"v%d" % number for number in range(1000)}
        store.update(model)
        ordered = sorted(model)
        assert (store.first(), store.last()) == (ordered[0], ordered[-1])
        assert list(store.range()) == ordered
        assert list(store.range(reverse=True)) == ordered[::-1]
        assert list(store.range(b"0100", bytearray(b"0500"), values=True)) == [
            (key, model[key]) for key in ordered[100:500]
        ]
        assert list(store.range(b"01", b"05", reverse=True, limit=300)) == ordered[499:199:-1]
        assert list(store.range(limit=0)) == []
        assert list(store.prefix(b"09")) == ordered[900:]
        assert list(store.prefix(b"099", reverse=True, limit=2)) == ordered[:-3:-1]
        store[b"\xff\xff"] = b"end"
        assert list(store.prefix(b"\xff", values=True)) == [(b"\xff\xff", b"end")]
        with pytest.raises(ValueError, match="limit"):
            store.range(limit=-1)


def test_the_client_has_the_commands() -> None:
    with (
        kvcy_server.running("--appendonly", "no") as server,
        kvcy.client.Client(f"kvcy://127.0.0.1:{server.port}") as client,
    ):
        client.mset({b"a": b"1", b"b": b"2", b"c": b"3"})
        assert client.krange(b"[a", b"(c") == [b"a", b"b"]
        assert client.krange(b"+", b"-", rev=True, limit=(1, 1), values=True) == [[b"b", b"2"]]
        assert client.kcount(b"-", b"+") == 3
        assert client.kdel(b"(a", b"+") == 2
