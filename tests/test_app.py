"""CONFIG SET reaches what it changes, and the admin commands work over a connection."""

from __future__ import annotations

from collections.abc import Iterator

import kvcy_server
import pytest
import redis


@pytest.fixture(scope="module")
def server() -> Iterator[kvcy_server.Server]:
    with kvcy_server.running("--enable-debug-command", "local") as one:
        yield one


@pytest.fixture(params=[2, 3])
def client(server: kvcy_server.Server, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, protocol=request.param, decode_responses=True) as one:
        yield one


def test_info(client: redis.Redis) -> None:
    client.set("a", "b")
    info = client.info("everything")
    assert info["redis_version"].startswith("7.") and info["connected_clients"] >= 1
    assert info["db0"]["keys"] == 1 and info["cmdstat_set"]["calls"] >= 1
    assert info["total_net_input_bytes"] > 0 and info["total_net_output_bytes"] > 0


def test_info_counts_the_memory_of_data(client: redis.Redis) -> None:
    client.set("large", "x" * 5_000_000)
    assert client.info("memory")["used_memory"] > 5_000_000
    client.delete("large")


def test_memory_stats(client: redis.Redis) -> None:
    client.flushall()
    client.mset({"a": "x" * 1000, "b": "y" * 1000})
    stats = client.memory_stats()
    assert {"startup.allocated", "overhead.total"} <= stats.keys()
    assert stats["keys.count"] == 2 and stats["type.string"]
    assert 2000 < stats["dataset.bytes"] <= stats["total.allocated"] <= stats["peak.allocated"]
    assert stats["keys.bytes-per-key"] > 1000
    assert float(stats["allocator-fragmentation.ratio"]) >= 1
    assert client.info("memory")["type_string"]["keys"] == 2
    assert client.execute_command("MEMORY DOCTOR").startswith("So little memory is used")


def test_config(client: redis.Redis) -> None:
    assert client.config_get("*max-len") == {"slowlog-max-len": "128"}
    assert client.config_set("maxmemory", "1") is True
    with pytest.raises(redis.ResponseError, match="command not allowed when used memory > 'maxmemory'"):
        client.set("b", "c")
    client.config_set("maxmemory", 0)
    assert client.set("b", "c")
    assert client.config_resetstat() is True
    with pytest.raises(redis.ResponseError, match=r"CONFIG SET failed \(possibly related to argument 'timeout'\)"):
        client.config_set("timeout", "abc")


def test_password(server: kvcy_server.Server, client: redis.Redis) -> None:
    client.config_set("requirepass", "s\u00e9cret")
    try:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("a")
        with redis.Redis(port=server.port, password="s\u00e9cret") as friend:
            assert friend.ping()
    finally:
        client.config_set("requirepass", "")


def test_slow_log(client: redis.Redis) -> None:
    client.slowlog_reset()
    client.config_set("slowlog-log-slower-than", 0)
    client.get("a")
    client.config_set("slowlog-log-slower-than", -1)
    assert b"GET a" in [entry["command"] for entry in client.slowlog_get()]
    client.slowlog_reset()
    assert client.slowlog_len() == 0


def test_command(client: redis.Redis) -> None:
    assert client.command_count() > 60
    assert client.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
    assert client.command()["get"]["arity"] == 2


def test_debug_and_latency(server: kvcy_server.Server, client: redis.Redis) -> None:
    client.set("n", "12")
    assert b" encoding:int " in server.run("debug", "object", "n")
    assert server.run("debug", "sleep", "0") == b"+OK\r\n"
    assert client.latency_latest() == []


def test_commands_answered_in_python_are_timed(server: kvcy_server.Server, client: redis.Redis) -> None:
    client.config_set("latency-monitor-threshold", 1)
    client.config_set("slowlog-log-slower-than", 1000)
    assert server.run("debug", "sleep", "0.005") == b"+OK\r\n"
    client.config_set("requirepass", "")
    client.config_set("slowlog-log-slower-than", -1)
    client.config_set("latency-monitor-threshold", 0)
    assert "command" in [event[0] for event in client.latency_latest()]
    client.latency_reset()
    commands = [entry["command"] for entry in client.slowlog_get()]
    assert any(command.startswith(b"debug sleep") for command in commands)
    assert not any(b"requirepass" in command for command in commands)
    assert client.info("commandstats")["cmdstat_debug"]["usec"] >= 5000


def test_admin_commands_inside_a_transaction(client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        pipeline.set("t", "1")
        pipeline.config_get("hz")
        pipeline.incr("t")
        assert pipeline.execute() == [True, {"hz": "10"}, 2]
