"""MEMORY STATS and MEMORY DOCTOR."""

from collections.abc import Mapping

import pytest
from admin_fakes import Admin

from kvcy.server.options import Options
from kvcy.server.replies import Verbatim

MIB = 1 << 20


def admin_with(options: Options | None = None, **totals: int) -> Admin:
    admin = Admin(options) if options else Admin()
    admin.native.values.update(totals)
    return admin


def doctor(admin: Admin) -> str:
    reply = admin("memory|doctor")
    assert isinstance(reply, Verbatim)
    return reply.text


def test_figures_are_of_one_moment() -> None:
    admin = admin_with(memory_bytes=30 * MIB, taken_bytes=33 * MIB, clients_bytes=MIB, clients=1)
    admin.native.keys[0] = (1000, 0)
    stats = admin("memory|stats")
    assert isinstance(stats, Mapping)
    assert stats["total.allocated"] == 30 * MIB
    assert stats["dataset.bytes"] == 30 * MIB - MIB
    assert stats["keys.bytes-per-key"] == 30 * MIB // 1000
    assert stats["allocator-fragmentation.bytes"] == 3 * MIB
    assert stats["allocator-fragmentation.ratio"] == 1.1
    admin.native.values["memory_bytes"] = 15 * MIB
    after = admin("memory|stats")
    assert isinstance(after, Mapping)
    assert after["peak.allocated"] == 30 * MIB
    assert after["peak.percentage"] == 50


def test_the_doctor_finds_nothing() -> None:
    assert "nothing can be said" in doctor(admin_with(memory_bytes=MIB, taken_bytes=100 * MIB))
    assert "Nothing unusual" in doctor(admin_with(memory_bytes=20 * MIB, taken_bytes=21 * MIB))


def test_the_doctor_finds_an_old_peak() -> None:
    admin = admin_with(memory_bytes=90 * MIB, taken_bytes=90 * MIB)
    admin("memory|stats")
    admin.native.values.update(memory_bytes=30 * MIB, taken_bytes=30 * MIB)
    assert doctor(admin).startswith("* Peak: once 94371840 bytes were used, 3.0 times as many as now.")


@pytest.mark.parametrize(
    ("totals", "word"),
    [
        ({"memory_bytes": 50 * MIB, "taken_bytes": 70 * MIB}, "Fragmentation"),
        ({"memory_bytes": 9 * MIB, "taken_bytes": 9 * MIB, "clients": 4, "clients_bytes": MIB}, "Clients"),
    ],
)
def test_the_doctor_finds(totals: dict[str, int], word: str) -> None:
    report = doctor(admin_with(**totals))
    assert report.startswith(f"* {word}: ") and report.count("* ") == 1


@pytest.mark.parametrize(("policy", "warned"), [("noeviction", True), ("allkeys-lru", False)])
def test_the_doctor_warns_before_writes_are_refused(policy: str, warned: bool) -> None:
    options = Options(maxmemory=100 * MIB, maxmemory_policy=policy)
    report = doctor(admin_with(options, memory_bytes=95 * MIB, taken_bytes=95 * MIB))
    assert ("Limit" in report) is warned
