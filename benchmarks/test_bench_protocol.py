"""Parser, reply writer, reply reader and command encoding: ns a command, a reply.

Run: `python -m pytest --benchmark-enable benchmarks/test_bench_protocol.py`. Parser and writer run in C loops
(tests/probes), so that a figure is theirs and not Python's; `ns_per_command` and `ns_per_reply` in a benchmark's extra
info are the fastest round's.
"""

from __future__ import annotations

from typing import Any

import pytest

from kvcy.protocol.reply import NOT_READY, ReplyReader
from kvcy.protocol.request import encode_command, encode_commands
from probes.parser_probe import nanoseconds_per_command
from probes.writer_probe import WriterProbe

PIPELINE = 100
COMMANDS = 20_000
KEY = b"key:000000000001"

REQUESTS = {
    "get": encode_command(["GET", KEY]),
    "set 64": encode_command(["SET", KEY, b"v" * 64]),
    "set 1024": encode_command(["SET", KEY, b"v" * 1024]),
    "mset 20": encode_command(["MSET"] + [KEY] * 20),
    "inline get": b"GET key:000000000001\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_parse(benchmark: Any, name: str) -> None:
    """A pipeline of whole commands in one buffer."""
    data = REQUESTS[name] * PIPELINE
    best = []

    def run() -> None:
        best.append(nanoseconds_per_command(data, COMMANDS // PIPELINE, 64))

    benchmark.pedantic(run, rounds=20, warmup_rounds=2)
    benchmark.extra_info["ns_per_command"] = round(min(best), 1)


@pytest.mark.parametrize("name", ["get", "set 64"])
@pytest.mark.parametrize("size", [64, 1448, 16384])
def test_parse_cut(benchmark: Any, name: str, size: int) -> None:
    """The same in pieces of `size` bytes, so that commands are cut; what is left over is handed in again."""
    data = REQUESTS[name] * PIPELINE
    best = []

    def run() -> None:
        best.append(nanoseconds_per_command(data, COMMANDS // PIPELINE, 64, size))

    benchmark.pedantic(run, rounds=20, warmup_rounds=2)
    benchmark.extra_info["ns_per_command"] = round(min(best), 1)


WRITES = {"ok": b"", "null": b"", "int": b"", "bulk": b"v" * 16, "value": b"v" * 64}


@pytest.mark.parametrize("name", WRITES)
def test_write(benchmark: Any, name: str) -> None:
    """Replies of one kind, the writer emptied every 64."""
    writer = WriterProbe()
    best = []

    def run() -> None:
        best.append(writer.write_many(name, COMMANDS, WRITES[name]))

    benchmark.pedantic(run, rounds=20, warmup_rounds=2)
    benchmark.extra_info["ns_per_reply"] = round(min(best), 1)


REPLIES = {
    "ok": b"+OK\r\n" * PIPELINE,
    "int": b":12345\r\n" * PIPELINE,
    "bulk 64": (b"$64\r\n" + b"v" * 64 + b"\r\n") * PIPELINE,
    "array of 100": b"*100\r\n" + (b"$16\r\n" + KEY + b"\r\n") * 100,
    "map of 50": b"%50\r\n" + b"".join(b"$5\r\nfield\r\n:%d\r\n" % n for n in range(50)),
}


@pytest.mark.parametrize("name", REPLIES)
def test_read_replies(benchmark: Any, name: str) -> None:
    """100 strings or numbers, or one aggregate of 100 elements, a round."""
    reader = ReplyReader()
    data = REPLIES[name]

    def run() -> None:
        reader.feed(data)
        while reader.gets() is not NOT_READY:
            pass

    benchmark(run)


def test_encode_command(benchmark: Any) -> None:
    benchmark(encode_command, ("SET", KEY, b"v" * 64))


def test_encode_pipeline(benchmark: Any) -> None:
    """100 commands."""
    benchmark(encode_commands, [("SET", KEY, b"v" * 64)] * PIPELINE)
