"""Redis's own tools and Python's Redis client against a real server, unchanged and with their default settings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import hiredis
import kvcy_server
import pytest
import redis
import redis.asyncio
import resp

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def server() -> Iterator[kvcy_server.Server]:
    with kvcy_server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def empty(server: kvcy_server.Server) -> None:
    assert server.run("FLUSHALL") == b"+OK\r\n"


def cli(server: kvcy_server.Server, *arguments: str, stdin: bytes = b"") -> str:
    """What redis-cli prints."""
    command = ["redis-cli", "-p", str(server.port), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_redis_cli_runs_commands(server: kvcy_server.Server, protocol: str) -> None:
    assert cli(server, protocol, "SET", "k", "v") == "OK\n"
    assert cli(server, protocol, "GET", "k") == "v\n"
    assert cli(server, protocol, "GET", "missing") == "\n"
    assert cli(server, protocol, "INCR", "n") == "1\n"
    assert cli(server, protocol, "NONSENSE").startswith("ERR unknown command 'NONSENSE'")
    script = b"MULTI\nINCR n\nGET k\nEXEC\n"
    assert cli(server, protocol, stdin=script).split() == ["OK", "QUEUED", "QUEUED", "2", "v"]


def test_redis_cli_over_the_unix_socket(server: kvcy_server.Server) -> None:
    done = subprocess.run(
        ["redis-cli", "-s", server.unix_path, "PING"], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.stdout == "PONG\n"


def test_redis_cli_pipes_a_file(server: kvcy_server.Server) -> None:
    commands = b"".join(resp.encode([b"SET", b"key:%d" % i, b"v" * (i % 300)]) for i in range(5_000))
    assert "errors: 0, replies: 5000" in cli(server, "--pipe", stdin=commands)
    assert cli(server, "DBSIZE") == "5000\n"


def test_redis_cli_scans(server: kvcy_server.Server) -> None:
    for start in range(0, 2_000, 500):
        words = [word for i in range(start, start + 500) for word in (f"key:{i}", "v")]
        cli(server, "MSET", *words)
    assert sorted(cli(server, "--scan").split()) == sorted(f"key:{i}" for i in range(2_000))
    assert cli(server, "--scan", "--pattern", "key:77?").split().__len__() == 10
    assert "keys" in cli(server, "--bigkeys")


def test_redis_cli_reads_information(server: kvcy_server.Server) -> None:
    information = cli(server, "INFO")
    for field in ("redis_version", "connected_clients", "used_memory", "total_commands_processed", "keyspace_hits"):
        assert re.search(rf"^{field}:", information, re.MULTILINE), field
    assert cli(server, "CONFIG", "GET", "port").split() == ["port", str(server.port)]
    assert "id=" in cli(server, "CLIENT", "LIST")
    assert int(cli(server, "COMMAND", "COUNT")) > 60


def test_redis_benchmark_runs(server: kvcy_server.Server) -> None:
    tests = "ping_inline,ping_mbulk,set,get,incr,mset"
    for depth in ("1", "16"):
        command = ["redis-benchmark", "-p", str(server.port), "-n", "2000", "-c", "20", "-P", depth, "-r", "100"]
        done = subprocess.run([*command, "-t", tests, "--csv"], capture_output=True, text=True, timeout=TIMEOUT_S)
        lines = done.stdout.strip().splitlines()
        assert len(lines) == 7, done.stdout + done.stderr
        assert "WARN" not in done.stderr
    assert server.run("GET", "key:__rand_int__") == b"$-1\r\n"


@pytest.fixture(params=[2, 3])
def client(server: kvcy_server.Server, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, protocol=request.param) as connected:
        yield connected


def test_redis_py_uses_hiredis() -> None:
    assert redis.utils.HIREDIS_AVAILABLE
    assert hiredis.__version__


def test_redis_py_with_default_settings(server: kvcy_server.Server) -> None:
    with redis.Redis(port=server.port) as client:
        assert client.ping()
        assert client.set("k", "v")
        assert client.get("k") == b"v"
    with redis.Redis.from_url(f"unix://{server.unix_path}") as client:
        assert client.get("k") == b"v"


def test_redis_py_commands(client: redis.Redis) -> None:
    assert client.set("k", "v", ex=100, nx=True)
    assert client.set("k", "w", nx=True) is None
    assert 0 < client.ttl("k") <= 100
    assert client.mset({"a": 1, "b": 2})
    assert client.mget("a", "b", "none") == [b"1", b"2", None]
    assert client.incrbyfloat("a", 0.5) == 1.5
    assert client.exists("a", "b", "none") == 2
    assert client.type("a") in (b"string", "string")
    assert sorted(client.scan_iter("*")) == [b"a", b"b", b"k"]
    assert client.rename("a", "c")
    assert client.delete("b", "c") == 2
    assert client.client_getname() is None
    assert client.client_setname("me")
    assert any(each["name"] == "me" for each in client.client_list())
    assert client.info("server")["redis_version"]
    assert client.config_get("maxclients")["maxclients"]
    assert client.dbsize() == 1
    assert "get" in client.command()
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("NONSENSE")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        client.incr("k")


def test_redis_py_pipelines_are_transactions(client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        assert pipeline.set("n", 1).incr("n").get("n").execute() == [True, 2, b"2"]
    with client.pipeline(transaction=False) as pipeline:
        replies = pipeline.incr("n").execute_command("NONSENSE").incr("n").execute(raise_on_error=False)
    assert replies[0] == 3
    assert isinstance(replies[1], redis.ResponseError)
    assert replies[2] == 4


def test_redis_py_watch(client: redis.Redis) -> None:
    def change(pipeline: redis.client.Pipeline) -> None:
        current = int(pipeline.get("n") or 0)
        pipeline.multi()
        pipeline.set("n", current + 1)

    assert client.transaction(change, "n") == [True]
    with client.pipeline() as pipeline:
        pipeline.watch("n")
        client.set("n", "changed")
        pipeline.multi()
        pipeline.set("n", "mine")
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("n") == b"changed"


def test_redis_py_locks(client: redis.Redis) -> None:
    """SET NX PX, the recipe of many locks; releasing redis-py's own Lock needs scripts."""
    assert client.set("lock", "mine", nx=True, px=10_000)
    assert not client.set("lock", "theirs", nx=True, px=10_000)


def test_redis_py_large_and_binary_values(client: redis.Redis) -> None:
    value = bytes(range(256)) * 20_000
    assert client.set(b"\x00\xff\r\n", value)
    assert client.get(b"\x00\xff\r\n") == value
    assert client.getrange(b"\x00\xff\r\n", 4_999_999, -1) == value[4_999_999:]
