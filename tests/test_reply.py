"""protocol/reply and request: replies of every type however they are cut, what is refused, encoding commands."""

from __future__ import annotations

import math
import random
from typing import Any

import hiredis
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcy.errors import KvcyError, ProtocolError, ReplyError
from kvcy.protocol.reply import NOT_READY, Push, ReplyReader
from kvcy.protocol.request import encode_command, encode_commands
from probes.parser_probe import ParserProbe

MUTATIONS = 100_000


def read(data: bytes, cuts: list[int] | None = None, **options: Any) -> tuple[list[Any], str]:
    """All replies of the data, fed in pieces, and the text of the ProtocolError that ended them."""
    reader = ReplyReader(**options)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    replies = []
    try:
        for start, end in zip(edges, edges[1:], strict=False):
            reader.feed(data[start:end])
            while (reply := reader.gets()) is not NOT_READY:
                replies.append(reply)
    except ProtocolError as error:
        return replies, str(error)
    return replies, ""


def same(left: Any, right: Any) -> bool:
    """Whether two replies are the same in type and content; equal numbers of different types are not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, ReplyError):
        return str(left) == str(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, set):
        return same(sorted(left, key=repr), sorted(right, key=repr))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


# --- every reply, cut anywhere

LINE = st.binary(max_size=12).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
TEXT_ERROR = st.text(alphabet="abC XYZ'é", max_size=12)


def pairs(items: list[Any]) -> Any:
    """What a map of these keys and values becomes."""
    try:
        as_dict = dict(items)
    except TypeError:
        return items
    return as_dict if len(as_dict) == len(items) else items


def members(items: list[Any]) -> Any:
    """What a set of these members becomes."""
    try:
        as_set = set(items)
    except TypeError:
        return items
    return as_set if len(as_set) == len(items) else items


Reply = tuple[bytes, Any]  # as it is sent, as it is read


def aggregate(kind: bytes, children: list[Reply]) -> Reply:
    data = b"".join(data for data, _ in children)
    values = [value for _, value in children]
    if kind in b"%|":
        values = list(zip(values[::2], values[1::2], strict=True))
        value: Any = pairs(values)
    else:
        value = {b"*": values, b">": Push(values), b"~": members(values)}[kind]
    return b"%s%d\r\n%s" % (kind, len(values), data), value


RESP2_SCALAR: st.SearchStrategy[Reply] = st.one_of(
    LINE.map(lambda data: (b"+%s\r\n" % data, data)),
    TEXT_ERROR.map(lambda text: (b"-%s\r\n" % text.encode(), ReplyError(text))),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (b":%d\r\n" % number, number)),
    st.binary(max_size=40).map(lambda data: (b"$%d\r\n%s\r\n" % (len(data), data), data)),
    st.sampled_from([(b"$-1\r\n", None), (b"*-1\r\n", None)]),
)
RESP3_SCALAR: st.SearchStrategy[Reply] = st.one_of(
    RESP2_SCALAR,
    st.sampled_from([(b"_\r\n", None), (b"#t\r\n", True), (b"#f\r\n", False), (b",inf\r\n", math.inf)]),
    st.sampled_from([(b",-inf\r\n", -math.inf), (b",nan\r\n", math.nan), (b":+5\r\n", 5), (b",1e+19\r\n", 1e19)]),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: (b",%s\r\n" % repr(value).encode(), value)),
    st.integers(-(10**40), 10**40).map(lambda number: (b"(%d\r\n" % number, number)),
    st.binary(max_size=20).map(lambda data: (b"=%d\r\ntxt:%s\r\n" % (len(data) + 4, data), data)),
    TEXT_ERROR.map(lambda text: (b"!%d\r\n%s\r\n" % (len(text.encode()), text.encode()), ReplyError(text))),
)
RESP2 = st.recursive(
    RESP2_SCALAR,
    lambda inner: st.lists(inner, max_size=5).map(lambda children: aggregate(b"*", children)),
    max_leaves=15,
)
RESP3 = st.recursive(
    RESP3_SCALAR,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([b"*", b">", b"~"]), st.lists(inner, max_size=5)).map(lambda row: aggregate(*row)),
        st.lists(st.tuples(inner, inner), max_size=4).map(
            lambda rows: aggregate(b"%", [child for row in rows for child in row])
        ),
        st.tuples(st.lists(st.tuples(inner, inner), max_size=2), inner).map(
            lambda row: (aggregate(b"|", [child for pair in row[0] for child in pair])[0] + row[1][0], row[1][1])
        ),
    ),
    max_leaves=15,
)
CUTS = st.lists(st.integers(0, 1 << 30), max_size=20)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(RESP3, max_size=4), CUTS)
def test_replies_mean_the_same_however_they_are_cut(replies: list[Reply], cuts: list[int]) -> None:
    data = b"".join(data for data, _ in replies)
    expected = [value for _, value in replies]
    for each in ([], cuts, list(range(len(data)))):
        got, error = read(data, each)
        assert error == ""
        assert same(got, expected)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(RESP2, max_size=4), CUTS)
def test_resp2_replies_are_those_of_hiredis(replies: list[Reply], cuts: list[int]) -> None:
    data = b"".join(data for data, _ in replies)
    reader = hiredis.Reader(protocolError=ProtocolError, replyError=ReplyError)
    reader.feed(data)
    assert same(read(data, cuts)[0], [reader.gets() for _ in replies])


PIECES = [b"*2\r\n", b"$3\r\nabc\r\n", b":1\r\n", b"%1\r\n", b"\r\n", b"$", b"*", b"|1\r\n", b"~3\r\n", b"-1"]
PIECES += [b"9" * 20]
PIECES += [b">1\r\n", b"=7\r\ntxt:abc\r\n", b"#t\r\n", b",1.5\r\n", b"(12\r\n", b"_\r\n", b"+a\r\n"]
PIECES += [b"!3\r\nabc\r\n", b"?"]


def test_mutated_replies_do_no_harm() -> None:
    draw = random.Random(20262)
    for number in range(MUTATIONS):
        data = bytearray(b"".join(draw.choices(PIECES, k=draw.randint(0, 10))))
        for _ in range(draw.randint(0, 2)):
            at = draw.randrange(len(data) + 1)
            data[at : at + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 2))
        whole = read(bytes(data))
        if number % 8 == 0:
            cut = read(bytes(data), [draw.randrange(len(data) + 1) for _ in range(4)])
            assert same(list(whole), list(cut))


# --- particular replies


def test_attributes_stand_beside_the_reply() -> None:
    reader = ReplyReader()
    reader.feed(b"|1\r\n+ttl\r\n:5\r\n*2\r\n|1\r\n+inner\r\n:1\r\n:7\r\n:8\r\n+next\r\n|0\r\n+last\r\n")
    assert (reader.gets(), reader.attributes) == ([7, 8], {b"ttl": 5})
    assert (reader.gets(), reader.attributes) == (b"next", None)
    assert (reader.gets(), reader.attributes) == (b"last", {})
    assert reader.gets() is NOT_READY


def test_many_empty_attributes_are_no_recursion() -> None:
    assert read(b"|0\r\n" * 200_000 + b"+OK\r\n") == ([b"OK"], "")


def test_errors_are_values() -> None:
    [replies] = read(b"*2\r\n-WRONGTYPE Operation\r\n:1\r\n")[0]
    assert isinstance(replies[0], ReplyError)
    assert isinstance(replies[0], KvcyError)
    assert (replies[0].code, str(replies[0]), replies[1]) == ("WRONGTYPE", "WRONGTYPE Operation", 1)
    assert ReplyError("").code == ""


def test_not_ready_is_false_and_has_a_name() -> None:
    assert not NOT_READY
    assert repr(NOT_READY) == "NOT_READY"


def test_keys_and_members_that_python_cannot_tell_apart_are_not_lost() -> None:
    assert same(read(b"~2\r\n:1\r\n#t\r\n")[0], [[1, True]])
    assert same(read(b"%2\r\n:1\r\n+a\r\n,1.0\r\n+b\r\n")[0], [[(1, b"a"), (1.0, b"b")]])
    assert same(read(b"%1\r\n*1\r\n:1\r\n+a\r\n")[0], [[([1], b"a")]])
    assert same(read(b"~2\r\n*0\r\n:1\r\n")[0], [[[], 1]])


def test_decoding() -> None:
    data = b"*3\r\n+a\r\n$2\r\n\xc3\xa9\r\n=6\r\ntxt:\xc3\xa9\r\n"
    assert read(data, encoding="utf-8") == ([["a", "é", "é"]], "")
    assert read(data, encoding="latin-1") == ([["a", "Ã©", "Ã©"]], "")
    assert read(b"+\xff\r\n", encoding="utf-8", errors="replace") == (["\ufffd"], "")
    with pytest.raises(LookupError):
        ReplyReader(encoding="no-such-encoding")


def test_a_string_that_cannot_be_decoded_costs_one_reply() -> None:
    reader = ReplyReader(encoding="utf-8")
    reader.feed(b"*2\r\n$1\r\n\xff\r\n:1\r\n+next\r\n")
    with pytest.raises(UnicodeDecodeError):
        reader.gets()
    assert reader.gets() == "next"


def test_pending_says_whether_a_connection_may_be_used_again() -> None:
    reader = ReplyReader()
    assert not reader.pending
    for data, pending in ((b"*1\r\n", True), (b":1\r\n", False), (b"|1\r\n+a\r\n:1\r\n", True), (b"+x\r\n+", True)):
        reader.feed(data)
        while reader.gets() is not NOT_READY:
            pass
        assert reader.pending == pending


def test_feed_takes_any_buffer() -> None:
    reader = ReplyReader()
    reader.feed(bytearray(b"+a\r"))
    reader.feed(memoryview(b"x\nx")[1:2])
    assert reader.gets() == b"a"
    with pytest.raises(TypeError):
        reader.feed("text")
    with pytest.raises(BufferError):
        reader.feed(memoryview(b"abcd")[::2])


def test_memory_grows_with_what_arrives_and_goes() -> None:
    reader = ReplyReader()
    reader.feed(b"$500000000\r\nabc")
    assert reader.gets() is NOT_READY
    assert reader.memory_bytes <= 4096
    reader = ReplyReader()
    reader.feed(b"*4000000000\r\n" * 100 + b"+abc\r\n")
    assert reader.gets() is NOT_READY
    assert reader.memory_bytes <= 4096
    reader = ReplyReader()
    data = b"$1000000\r\n" + b"x" * 1_000_000 + b"\r\n"
    for start in range(0, len(data), 10_000):
        assert reader.gets() is NOT_READY
        reader.feed(data[start : start + 10_000])
    assert reader.gets() == b"x" * 1_000_000
    assert reader.memory_bytes == 0


# --- what is refused

REFUSED = [
    (b"hello\r\n", "unknown reply type b'h'"),
    (b"\r\n", "unknown reply type"),
    (b"\x00\r\n", "unknown reply type"),
    (b"+a\rb\r\n", "expected LF after CR"),
    (b"$3\r\nabcde", "expected CR LF after a bulk string"),
    (b"$-2\r\n", "bad length -2"),
    (b"$536870913\r\n", "bad bulk length 536870913"),
    (b"$\r\n", "bad number"),
    (b"$ 1\r\n", "bad number"),
    (b":\r\n", "bad number"),
    (b":-\r\n", "bad number"),
    (b":1a\r\n", "bad number"),
    (b":9223372036854775808\r\n", "bad number"),
    (b":-9223372036854775809\r\n", "bad number"),
    (b":" + b"1" * 70, "line too long"),
    (b"*" + b"0" * 70 + b"\r\n", "line too long"),
    (b"+" + b"a" * 1_048_577, "line too long"),
    (b"*4294967296\r\n", "bad aggregate length 4294967296"),
    (b"%-1\r\n", "bad aggregate length -1"),
    (b"=-1\r\n", "bad bulk length -1"),
    (b"!-1\r\n", "bad bulk length -1"),
    (b"=3\r\nabc\r\n", "bad verbatim string"),
    (b"=4\r\ntxta\r\n", "bad verbatim string"),
    (b"_x\r\n", "bad null"),
    (b"#x\r\n", "bad boolean"),
    (b"#\r\n", "bad boolean"),
    (b",\r\n", "bad double b''"),
    (b",1_0\r\n", "bad double b'1_0'"),
    (b", 1\r\n", "bad double b' 1'"),
    (b",1..5\r\n", "bad double b'1..5'"),
    (b",infinity\r\n", "bad double b'infinity'"),
    (b"(\r\n", "bad big number"),
    (b"(1_0\r\n", "bad big number"),
    (b"(12x\r\n", "bad big number"),
    (b"(" + b"1" * 100_000 + b"\r\n", "Exceeds the limit"),
    (b"$?\r\n", "streamed replies are not supported"),
    (b"*?\r\n", "streamed replies are not supported"),
    (b"%?\r\n", "streamed replies are not supported"),
    (b";3\r\nabc\r\n", "unknown reply type b';'"),
    (b".\r\n", "unknown reply type b'.'"),
    (b"*1\r\n" * 129, "nested too deeply"),
]


@pytest.mark.parametrize(("data", "text"), REFUSED, ids=[f"{data[:20]!r}" for data, _ in REFUSED])
def test_refused(data: bytes, text: str) -> None:
    reader = ReplyReader()
    reader.feed(b"+first\r\n" + data)
    assert reader.gets() == b"first"
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            reader.gets()
        assert text in str(caught.value)
    step = max(1, len(data) // 200)
    assert text in read(data, list(range(0, len(data), step)))[1]


def test_limits_are_options() -> None:
    assert read(b"$5\r\nabcde\r\n", bulk_bytes_max=5) == ([b"abcde"], "")
    assert read(b"=9\r\ntxt:abcde\r\n", bulk_bytes_max=5) == ([b"abcde"], "")
    assert read(b"$6\r\n", bulk_bytes_max=5)[1] == "bad bulk length 6"
    assert read(b"*1\r\n*1\r\n:1\r\n", depth_max=2) == ([[[1]]], "")
    assert read(b"*1\r\n*1\r\n*1\r\n", depth_max=2)[1] == "nested too deeply"
    deep = b"*1\r\n" * 5000 + b":1\r\n"
    assert read(deep, depth_max=5000)[1] == ""


# --- commands


@given(
    st.lists(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(["", "é", "a b\r\n"])), min_size=1), max_size=4)
)
def test_what_is_encoded_is_what_the_server_parses(commands: list[list[bytes | str]]) -> None:
    data = encode_commands(commands)
    assert data == b"".join(map(encode_command, commands))
    probe = ParserProbe()
    probe.feed(data)
    assert probe.commands == [[word.encode() if isinstance(word, str) else word for word in args] for args in commands]


def test_arguments_of_every_type() -> None:
    args = ["é", b"b", bytearray(b"c"), memoryview(b"xdx")[1:2], 0, -1, 2**63, -(2**63), 10**30, 1.0, 0.1, 1e300]
    args += [math.inf, "x" * 5000]
    expected = ["é".encode(), b"b", b"c", b"d", b"0", b"-1", b"%d" % 2**63, b"%d" % -(2**63), b"%d" % 10**30]
    expected += [b"1.0", b"0.1", b"1e+300", b"inf", b"x" * 5000]
    probe = ParserProbe()
    probe.feed(encode_command(args) + encode_command(tuple(args)) + encode_command(iter(args)))
    assert probe.commands == [expected] * 3


@pytest.mark.parametrize("arg", [True, None, [b"a"], object(), 1j, {"a": 1}])
def test_arguments_that_are_refused(arg: Any) -> None:
    with pytest.raises(TypeError, match="a command's argument cannot be"):
        encode_command(["SET", "k", arg])


@pytest.mark.parametrize("args", [b"PING", "PING", bytearray(b"PING"), memoryview(b"PING")])
def test_a_string_is_not_a_command(args: Any) -> None:
    with pytest.raises(TypeError, match="sequence of arguments"):
        encode_command(args)
    with pytest.raises(TypeError, match="sequence of arguments"):
        encode_commands([["PING"], args])


def test_odd_commands() -> None:
    with pytest.raises(ValueError, match="without a name"):
        encode_command([])
    with pytest.raises(UnicodeEncodeError):
        encode_command(["\ud800"])
    with pytest.raises(BufferError):
        encode_command([memoryview(b"abcd")[::2]])
    assert encode_commands([]) == b""
