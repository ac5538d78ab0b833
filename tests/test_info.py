"""INFO's sections and fields."""

from admin_fakes import Admin

from kvcy.server.context import Rates, RowUse
from kvcy.server.info import SECTIONS, human
from kvcy.server.replies import Verbatim


def fields(admin: Admin, *sections: str) -> dict[str, str]:
    reply = admin("info", *sections)
    assert isinstance(reply, Verbatim)
    lines = [line for line in reply.text.split("\r\n") if line and not line.startswith("#")]
    return dict(line.split(":", 1) for line in lines)


def titles(admin: Admin, *sections: str) -> list[str]:
    reply = admin("info", *sections)
    assert isinstance(reply, Verbatim)
    return [line[2:] for line in reply.text.split("\r\n") if line.startswith("# ")]


def test_which_sections_come() -> None:
    admin = Admin()
    default = [title for title in SECTIONS if title not in ("Commandstats", "Latencystats")]
    assert titles(admin) == titles(admin, "default") == default
    assert titles(admin, "all") == [title for title in SECTIONS if title != "Modules"]
    assert titles(admin, "everything") == list(SECTIONS)
    assert titles(admin, "keyspace", "SERVER", "nosuch") == ["Server", "Keyspace"]
    assert admin("info", "nosuch") == Verbatim("")


def test_text_has_redis_form() -> None:
    admin = Admin()
    admin.native.keys[0] = (3, 1)
    admin.native.keys[5] = (1, 0)
    assert admin("info", "keyspace", "cluster") == Verbatim(
        "# Cluster\r\ncluster_enabled:0\r\n\r\n"
        "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb5:keys=1,expires=0,avg_ttl=0\r\n"
    )


def test_numbers_arrive() -> None:
    admin = Admin()
    admin.native.values |= {"clients": 4, "memory_bytes": 2048, "hits": 7, "commands": 100, "errors": 2}
    admin.native.values |= {"taken_bytes": 4096, "evicted_keys": 5, "expire_cycle_ms": 12}
    admin.now_s += 90_061.5
    found = fields(admin)
    assert found["connected_clients"] == "4"
    assert (found["used_memory"], found["used_memory_human"]) == ("2048", "2.00K")
    assert found["used_memory_peak"] == "2048"
    assert (found["allocator_frag_ratio"], found["allocator_frag_bytes"]) == ("2.00", "2048")
    assert int(found["rss_overhead_bytes"]) == int(found["used_memory_rss"]) - 4096
    assert found["evicted_keys"] == "5"
    assert (found["expire_cycle_cpu_milliseconds"], found["expired_stale_perc"]) == ("12", "0.00")
    assert found["ordered_index_db3"] == "keys=10,bytes=2048,complete=0"
    assert found["keyspace_events"] == "set=2,expire=1"
    assert (found["keyspace_hits"], found["total_commands_processed"], found["total_error_replies"]) == (
        "7",
        "100",
        "2",
    )
    assert (found["uptime_in_seconds"], found["uptime_in_days"]) == ("90061", "1")
    assert (found["run_id"], found["tcp_port"], found["redis_version"][:2]) == ("a" * 40, "6379", "7.")
    assert int(found["used_memory_rss"]) > 0


def test_commandstats() -> None:
    admin = Admin()
    admin.native.used = [RowUse("get", 4, 10.0, 1, 2), RowUse("config|get", 0, 0.0, 1, 0)]
    assert fields(admin, "commandstats") == {
        "cmdstat_get": "calls=4,usec=10,usec_per_call=2.50,rejected_calls=1,failed_calls=2",
        "cmdstat_config|get": "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0",
    }


def test_latencystats() -> None:
    admin = Admin()
    admin.native.timed = {"get": [(1007, 98), (12_031, 1), (500_000, 1)]}
    assert fields(admin, "latencystats") == {"latency_percentiles_usec_get": "p50=1.007,p99=12.031,p99.9=500.000"}
    admin("config|set", "latency-tracking-info-percentiles", "100 0.5 99.95")
    assert fields(admin, "latencystats") == {"latency_percentiles_usec_get": "p100=500.000,p0.5=1.007,p99.95=500.000"}
    admin("config|set", "latency-tracking", "no")
    assert fields(admin, "latencystats") == {}


def test_errorstats() -> None:
    assert fields(Admin(), "errorstats") == {"errorstat_ERR": "count=3", "errorstat_WRONGTYPE": "count=1"}


def test_rates() -> None:
    rates = Rates()
    assert rates.per_second() == (0.0, 0.0, 0.0)
    rates.read(10.0, 0, 0, 0)
    rates.read(11.0, 500, 5, 5)
    rates.read(13.0, 1500, 2053, 105)
    assert rates.per_second() == (500.0, 1024.0, 50.0)
    rates.read(14.0, 0, 0, 0)  # after CONFIG RESETSTAT
    assert rates.per_second() == (0.0, 0.0, 0.0)


def test_human_sizes() -> None:
    assert [human(size) for size in (0, 1023, 1024, 941_312, 25_276_514_304)] == [
        "0B", "1023B", "1.00K", "919.25K", "23.54G",
    ]  # fmt: skip
