"""protocol/parser: commands however they are cut, every limit with its text, large bulks, memory."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import pytest
import redis_server
import resp
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import parser_probe
from probes.parser_probe import OutOfMemory, ParseError, ParserProbe

APART_MIN = 32768  # a bulk of so many bytes that is not whole in the buffer is received apart
LINE_MAX = 65536
MUTATIONS = 200_000


@pytest.fixture(autouse=True)
def no_block_is_lost() -> Iterator[None]:
    before = parser_probe.block_bytes()
    yield
    parser_probe.fail_never()
    assert parser_probe.block_bytes() == before


def feed(probe: ParserProbe, data: bytes, cuts: list[int]) -> str:
    """Feeds the data in pieces; the error's text, or nothing."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in zip(edges, edges[1:], strict=False):
            probe.feed(data[start:end])
        probe.feed(b"")
    except ParseError as error:
        return str(error)
    return ""


def parse(data: bytes, cuts: list[int] | None = None, **options: object) -> tuple[list[list[bytes]], str]:
    """All commands of the data, and the error's text."""
    probe = ParserProbe(**options)
    error = feed(probe, data, cuts or [])
    return probe.commands, error


# --- any pipeline, cut anywhere


def quoted(word: bytes, style: int) -> bytes:
    """A word of an inline command; plain where that can be."""
    if style == 0 and word and not set(word) & set(b" \t\r\n\v\f\"'"):
        return word
    if style == 1 and not set(word) & set(b"\n\\"):
        return b"'" + word.replace(b"'", b"\\'") + b"'"
    escapes = {10: b"\\n", 13: b"\\r", 9: b"\\t", 8: b"\\b", 7: b"\\a", 34: b'\\"', 92: b"\\\\"}
    return b'"' + b"".join(escapes.get(c) or (bytes([c]) if 32 <= c < 127 else b"\\x%02x" % c) for c in word) + b'"'


WORD = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\r\n", b"*1\r\n", b"$3\r\n", b"'", b'"', b"\\", b"", b"\x00"]),
    st.integers(0, 9).map(lambda n: bytes([65 + n]) * (APART_MIN - 5 + n)),
)
INLINE = st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 2)), max_size=5).map(
    lambda words: (b"  ".join(quoted(*word) for word in words), [word for word, _ in words])
)

# Commands that often begin like the one before, or nearly.
ALIKE = st.tuples(
    st.sampled_from([b"GET", b"get", b"SET", b"", b"G", b"EXISTS", b"EXISTSX"]),
    st.lists(st.binary(max_size=9), max_size=3),
).map(lambda parts: [parts[0], *parts[1]])


@st.composite
def pipeline(draw: st.DrawFn) -> tuple[bytes, list[list[bytes]]]:
    """Bytes, and the commands they are."""
    data, commands = [], []
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.integers(0, 5))
        if kind == 0:
            line, words = draw(INLINE)
            if line.startswith(b"*"):
                line = b" " + line
            data.append(line + draw(st.sampled_from([b"\n", b"\r\n"])))
            commands.append(words)
        elif kind == 1:
            data.append(draw(st.sampled_from([b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b"*-77\r\n", b" \t \r\n"])))
            commands.append([])
        else:
            words = draw(ALIKE if kind == 2 else st.lists(WORD, min_size=1, max_size=12))
            data.append(resp.encode(words))
            commands.append(words)
    return b"".join(data), commands


@settings(max_examples=examples(400), deadline=None)
@given(pipeline(), st.lists(st.integers(0, 1 << 30), max_size=30), st.booleans())
def test_a_pipeline_means_the_same_however_it_is_cut(
    case: tuple[bytes, list[list[bytes]]], cuts: list[int], direct: bool
) -> None:
    data, commands = case
    probe = ParserProbe(direct=direct)
    assert feed(probe, data, cuts) == ""
    assert probe.commands == commands
    assert probe.rest == b""
    assert probe.memory_bytes == 0


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(ALIKE, max_size=60))
def test_commands_that_begin_alike(commands: list[list[bytes]]) -> None:
    assert parse(b"".join(map(resp.encode, commands))) == (commands, "")


def test_an_opening_met_before_is_held_to_the_limits() -> None:
    many = resp.encode([b"GET"] * 11)
    assert parse(many + many) == ([[b"GET"] * 11] * 2, "")
    probe = ParserProbe()
    probe.feed(many)
    probe.authenticated = False
    assert feed(probe, many, []) == "Protocol error: unauthenticated multibulk length"


@settings(max_examples=examples(60), deadline=None)
@given(pipeline())
def test_a_pipeline_byte_by_byte(case: tuple[bytes, list[list[bytes]]]) -> None:
    data, commands = case
    data, commands = (data, commands) if len(data) < 4000 else (b"", [])
    assert parse(data, list(range(len(data)))) == (commands, "")


PIECES = [b"*", b"$", b"\r", b"\n", b"\r\n", b"1", b"2", b"0", b"-", b" ", b"*1\r\n"]
PIECES += [b"*2\r\n$3\r\nGET\r\n", b"$1\r\na\r\n"]
PIECES += [b'"', b"'", b"\\", b"\\x41", b"\x00", b"\xff", b"get a\n", b"99999999999999999999", b"$4000000\r\n"]


@settings(max_examples=examples(500), deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)),
    st.lists(st.integers(0, 1 << 30), max_size=10),
    st.booleans(),
)
def test_garbage_means_the_same_however_it_is_cut(data: bytes, cuts: list[int], authenticated: bool) -> None:
    whole = parse(data, authenticated=authenticated)
    assert parse(data, cuts, authenticated=authenticated) == whole
    assert parse(data, list(range(len(data))), authenticated=authenticated) == whole


def mutated(draw: random.Random, corpus: list[bytes]) -> bytes:
    data = bytearray(draw.choice(corpus))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        action = draw.randrange(4)
        if action == 0:
            data[at:at] = draw.choice(PIECES)
        elif action == 1:
            del data[at : at + draw.randint(1, 6)]
        elif action == 2 and at < len(data):
            data[at] = draw.randrange(256)
        else:
            data[at:at] = draw.choice(corpus)
    return bytes(data)


def test_mutated_input_does_no_harm() -> None:
    draw = random.Random(20261)
    corpus = [
        resp.encode(["GET", "key:000000000001"]),
        resp.encode(["SET", "k", "v" * 70, "EX", "10"]),
        resp.encode([str(n) for n in range(12)]),
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$40000\r\n" + b"x" * 300,
        b"set 'a b' \"c\\x41\\n\"\r\nping\r\n",
        b"*0\r\n*-1\r\n\r\n",
    ]
    for number in range(MUTATIONS):
        data = mutated(draw, corpus)
        authenticated = number % 4 != 0
        probe = ParserProbe(authenticated=authenticated)
        error = feed(probe, data, [draw.randrange(len(data) + 1)])
        if number % 8 == 0:
            assert (probe.commands, error) == parse(data, authenticated=authenticated)


# --- limits and errors

ERRORS = [
    (b"*1\r\n\r\n", "expected '$', got ' '"),
    (b"*1\r\n\nx\r\n", "expected '$', got ' '"),
    (b"*1\r\nfoo\r\n", "expected '$', got 'f'"),
    (b"*1\r\n\xffoo\r\n", "expected '$', got '\xff'"),
    (b"*2\r\n$1\r\na\r\n*1\r\n", "expected '$', got '*'"),
    (b"*2\r\n$1\r\nabcd$1\r\nb\r\n", "expected '$', got 'd'"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*01\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"* 1\r\n", "invalid multibulk length"),
    (b"*1 \r\n", "invalid multibulk length"),
    (b"*-0\r\n", "invalid multibulk length"),
    (b"*-\r\n", "invalid multibulk length"),
    (b"*1\x00\r\n", "invalid multibulk length"),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*9223372036854775808\r\n", "invalid multibulk length"),
    (b"*-9223372036854775809\r\n", "invalid multibulk length"),
    (b"*99999999999999999999\r\n", "invalid multibulk length"),
    (b"*1\r\n$\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$00\r\n\r\n", "invalid bulk length"),
    (b"*1\r\n$4a\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$12345678901\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b'echo "abc\r\n', "unbalanced quotes in request"),
    (b'echo "abc"d\r\n', "unbalanced quotes in request"),
    (b"echo 'abc'd\n", "unbalanced quotes in request"),
    (b"echo 'abc\n", "unbalanced quotes in request"),
    (b'echo "abc\\"\n', "unbalanced quotes in request"),
    (b'"\n', "unbalanced quotes in request"),
    (b"A" * (LINE_MAX + 1), "too big inline request"),
    (b"A" * (LINE_MAX + 1) + b"\n", "too big inline request"),
    (b"*" + b"1" * LINE_MAX, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * LINE_MAX, "too big bulk count string"),
]


@pytest.mark.parametrize(("data", "text"), ERRORS, ids=[f"{data[:24]!r}" for data, _ in ERRORS])
def test_errors(data: bytes, text: str) -> None:
    expected: tuple[list[list[bytes]], str] = ([[b"first"]], f"Protocol error: {text}")
    data = resp.encode(["first"]) + data
    assert parse(data) == expected
    assert parse(data, list(range(min(len(data), 300)))) == expected
    assert parse(data + resp.encode(["never"])) == expected


def test_an_error_is_final() -> None:
    probe = ParserProbe()
    for _ in range(2):
        with pytest.raises(ParseError, match="invalid multibulk length"):
            probe.feed(b"*x\r\n")
    probe.close()
    probe = ParserProbe()
    probe.feed(b"ping\n")
    assert probe.commands == [[b"ping"]]


@pytest.mark.parametrize("prefix", [b"", b"*", b"*1\r\n$"])
def test_a_line_of_the_greatest_size_is_waited_for(prefix: bytes) -> None:
    line = LINE_MAX - (1 if prefix else 0)
    probe = ParserProbe()
    probe.feed(prefix + b"1" * line)
    assert probe.commands == []
    with pytest.raises(ParseError, match="too big"):
        probe.feed(b"1")


def test_the_longest_inline_command() -> None:
    line = b"a" * LINE_MAX
    assert parse(line + b"\n") == ([[line]], "")
    assert parse(line[1:] + b"\r\n", [5, 60000]) == ([[line[1:]]], "")


def test_before_authentication() -> None:
    ten = [b"x" * 16384] * 10
    assert parse(resp.encode(ten), authenticated=False) == ([ten], "")
    assert parse(resp.encode(["a"] * 11), authenticated=False) == (
        [],
        "Protocol error: unauthenticated multibulk length",
    )
    assert parse(b"*1\r\n$16385\r\n", authenticated=False) == ([], "Protocol error: unauthenticated bulk length")
    assert parse(b"*-5\r\nping a b c d e f g h i j k\r\n", authenticated=False)[1] == ""


def test_the_greatest_bulk_is_an_option() -> None:
    assert parse(resp.encode(["GET", "a" * 100]), bulk_bytes_max=100)[1] == ""
    assert parse(resp.encode(["GET", "a" * 101]), bulk_bytes_max=100)[1] == "Protocol error: invalid bulk length"


def test_the_greatest_numbers_are_taken() -> None:
    probe = ParserProbe()
    probe.feed(b"*2147483647\r\n$536870912\r\n")
    assert probe.commands == []
    assert probe.memory_bytes < 200_000


def test_ends_of_line_are_not_compared() -> None:
    assert parse(b"*1\rX$4\rXPINGXXping\n") == ([[b"PING"], [b"ping"]], "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (rb'echo "a\x41\n\q\xZZ\x4"', [b"echo", b"aA\nqxZZx4"]),
        (rb'"\r\t\b\a\\\"" ' + rb"'\n\''", [b'\r\t\b\a\\"', b"\\n'"]),
        (b'ab"c d"', [b"abc d"]),
        (b'"a"\v"b"', [b"a", b"b"]),
        (b"\vecho\v\f x", [b"echo\v\f", b"x"]),
        (b"\"\" ''", [b"", b""]),
        (b"a\rb", [b"a", b"b"]),
        (b"a\r", [b"a"]),
        (b"a\x00b", [b"a\x00b"]),
        (b" \t ", []),
        (b"$3", [b"$3"]),
    ],
)
def test_inline_words(line: bytes, words: list[bytes]) -> None:
    assert parse(line + b"\n" + line + b"\r\n") == ([words, words], "")


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="compares with redis-server")
def test_inline_words_are_those_of_redis() -> None:
    draw = random.Random(7)
    alphabet = [b"a", b"b", b" ", b"\t", b"\v", b"\f", b'"', b'"', b"'", b"'", b"\\", b"\\x41", b"\\n", b"\xff", b"\r"]
    with redis_server.running() as connection:
        for _ in range(400):
            line = b"rpush words first " + b"".join(draw.choices(alphabet, k=draw.randint(0, 14)))
            commands, error = parse(line + b"\n")
            if error:
                continue  # Redis would close the connection
            assert commands[0][:3] == [b"rpush", b"words", b"first"]
            connection.socket.sendall(b"del words\r\n" + line + b"\nlrange words 0 -1\r\n")
            expected = resp.encode(commands[0][2:])
            got = b""
            while not got.endswith(expected) and len(resp.split(got)[0]) < 3:
                got += connection.socket.recv(1 << 20)
            assert resp.split(got)[0][2] == expected


# --- large bulks, progress and memory


def test_a_million_arguments() -> None:
    words = [b"%d" % n for n in range(1_000_000)]
    data = resp.encode(words)
    probe = ParserProbe()
    probe.feed(data)
    assert probe.commands == [words]
    assert probe.capacity <= parser_probe.KEPT_MAX
    probe = ParserProbe()
    probe.feed(data[: len(data) // 2])
    assert 500_000 < probe.args_done < 520_000
    probe.feed(data[len(data) // 2 :])
    assert probe.commands == [words]
    assert probe.memory_bytes == 0


def test_no_byte_is_looked_at_twice() -> None:
    data = resp.encode(["MSET"] + ["word" * 5] * 50)
    probe = ParserProbe()
    for size in range(1, len(data)):
        before = probe.position
        probe.feed(data[size - 1 : size])
        assert before <= probe.position <= size == len(probe.rest)
        # Waiting within a line it stands at the line's end (or its CR), within a bulk at the bulk's first byte.
        assert probe.position >= size - 22
        assert probe.args_done == max(0, data[:size].count(b"\r\n") - 1) // 2
    probe = ParserProbe()
    for size in range(1, 3000):
        probe.feed(b"x")
        assert probe.position == size


@pytest.mark.parametrize("size", [APART_MIN - 1, APART_MIN, 65534, 65535, 65536, 300_000, 3_000_000])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("step", [1009, 16384, 250_000])
def test_large_bulks_are_received_apart(size: int, direct: bool, step: int) -> None:
    big = random.Random(size).randbytes(size)
    words = [b"MSET", b"", b"key", big, b"key2", big, b"last"]
    data = resp.encode(words) + resp.encode(["ping"])
    probe = ParserProbe(direct=direct)
    for start in range(0, len(data), step):
        probe.feed(data[start : start + step])
    probe.feed(b"")
    assert probe.commands == [words, [b"ping"]]
    assert set(probe.apart[0]) <= {3, 5}
    if size >= APART_MIN and step < size:
        assert probe.apart[0] == [3, 5]
    if size < APART_MIN:
        assert probe.apart[0] == []
    assert probe.memory_bytes == 0


@pytest.mark.parametrize("missing", [1, 2, 3])
@pytest.mark.parametrize("direct", [False, True])
def test_the_end_of_a_large_bulk_comes_alone(missing: int, direct: bool) -> None:
    words = [b"SET", b"k", b"v" * 40_000]
    data = resp.encode(words)
    probe = ParserProbe(direct=direct)
    probe.feed(data[:-missing])
    assert (probe.filling, probe.rest) == (True, b"")
    for n in range(len(data) - missing, len(data)):
        probe.feed(data[n : n + 1])
    probe.feed(b"")
    assert probe.commands == [words]
    assert probe.apart == [[2]]


def test_a_length_allocates_nothing() -> None:
    probe = ParserProbe()
    probe.feed(b"*1000000000\r\n$3\r\nSET\r\n$536870912\r\n")
    assert probe.memory_bytes < 200_000
    for _ in range(100):
        probe.feed(b"x" * 10_000)
    assert 1_000_000 <= probe.memory_bytes < 2_200_000
    probe.close()
    assert probe.memory_bytes == 0


def test_memory_may_end_anywhere() -> None:
    words = [b"MSET", b"key", b"v" * 40_000, b"key2", b"w" * 40_000]
    line = b'set "a b" c\r\n'
    data = resp.encode(words) + line + resp.encode(["x"] * 100) + resp.encode(["x"] * 20_000)
    expected = [words, [b"set", b"a b", b"c"], [b"x"] * 100, [b"x"] * 20_000]
    refused = 0
    for allowed in range(12):
        probe = ParserProbe()
        for start in range(0, len(data), 20_001):
            parser_probe.fail_after(allowed)
            try:
                probe.feed(data[start : start + 20_001])
            except OutOfMemory:
                refused += 1
                parser_probe.fail_never()
                probe.feed(b"")
            parser_probe.fail_never()
        assert probe.commands == expected
        del probe
    assert refused > 5


def test_closing_in_the_middle_frees_everything() -> None:
    before = parser_probe.block_bytes()
    data = resp.encode([b"MSET", *[b"k"] * 10_000, b"key", b"v" * 40_000, b"key2", b"w" * 40_000])
    for size in range(0, len(data), 997):
        probe = ParserProbe()
        for start in range(0, size, 16_384):
            probe.feed(data[start : min(size, start + 16_384)])
        probe.close()
        assert probe.memory_bytes == 0
        assert parser_probe.block_bytes() == before


def test_a_parser_is_small() -> None:
    assert parser_probe.PARSER_SIZE <= 144
