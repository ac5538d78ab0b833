"""What is shown of how long commands take."""

from __future__ import annotations

import kvcy_server
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from kvcy.server.histograms import calls, percentile_text, percentile_us, steps_us
from probes import handlers_probe

LARGEST_NS = (1 << 30) - 1


@given(st.integers(0, 1 << 40))
def test_buckets_are_narrow_and_in_order(time_ns: int) -> None:
    bucket, upper_ns = handlers_probe.histogram_bucket(time_ns)
    counted_ns = min(time_ns, LARGEST_NS)
    lower_ns = -1 if bucket == 0 else handlers_probe.histogram_upper_ns(bucket - 1)
    assert lower_ns < counted_ns <= upper_ns
    assert upper_ns - lower_ns <= max(counted_ns // 32, 1)


def test_last_bucket_ends_where_times_end() -> None:
    assert handlers_probe.histogram_bucket(1 << 63)[1] == LARGEST_NS


def test_percentiles_and_steps() -> None:
    histogram = [(500, 1), (1023, 1), (1055, 6), (LARGEST_NS, 2)]
    assert calls(histogram) == 10
    assert [percentile_us(histogram, one) for one in (0, 10, 20, 50, 80, 81, 100)] == [
        0.5, 0.5, 1.023, 1.055, 1.055, 1.055, LARGEST_NS / 1000,
    ]  # fmt: skip
    assert percentile_us(histogram, 85) == LARGEST_NS / 1000
    assert steps_us(histogram) == {1: 2, 2: 8, 1082130: 10}
    assert [percentile_text(one) for one in (50.0, 99.9, 99.95, 100.0, 0.0)] == ["50", "99.9", "99.95", "100", "0"]


@pytest.mark.parametrize("protocol", [2, 3])
def test_clients_get_histograms(protocol: int) -> None:
    with kvcy_server.running() as server, redis.Redis(port=server.port, protocol=protocol) as client:
        client.mset({"a": "1", "b": "2"})
        found = client.execute_command("LATENCY", "HISTOGRAM", "mset")
        if protocol == 3:
            assert found[b"mset"][b"calls"] == 1 and list(found[b"mset"][b"histogram_usec"].values()) == [1]
        else:
            assert found[0] == b"mset" and found[1][:3] == [b"calls", 1, b"histogram_usec"] and found[1][3][1::2] == [1]
        assert list(client.info("latencystats")["latency_percentiles_usec_mset"]) == ["p50", "p99", "p99.9"]
        client.config_resetstat()
        assert not client.execute_command("LATENCY", "HISTOGRAM", "mset")
