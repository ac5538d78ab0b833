"""The comparison's table and chart, from canned results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report() -> Any:
    """benchmarks/comparison_report.py, which is a file beside a command and in no package."""
    sys.path.append(str(ROOT / "benchmarks"))
    try:
        import comparison_report
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return comparison_report


def row(number: int, server: str, command: str, depth: int, rate: float, cpu_ns: float) -> dict[str, Any]:
    figures = {"requests_per_s": rate, "cpu_ns": cpu_ns, "p50_ms": 1.0, "p99_ms": 2.0}
    return {"round": number, "server": server, "command": command, "depth": depth, **figures}


@pytest.fixture
def results() -> dict[str, Any]:
    """Three rounds whose ratios, 2, 4 and 3, have another median than the ratio of the medians, 250 / 100."""
    rows = []
    for number, (ours, theirs) in enumerate([(200, 100), (400, 100), (250, 250 / 3)]):
        rows += [row(number, "kvcy", "GET", 16, ours * 1000, 500), row(number, "redis", "GET", 16, theirs * 1000, 1000)]
        rows += [row(number, "redis", "SET", 1, 50_000, 8000), row(number, "kvcy", "SET", 1, 60_000, 6000)]
        rows += [row(number, "redis", "SET", 16, 80_000, 2000), row(number, "kvcy", "SET", 16, 60_000, 1500)]
    made: dict[str, Any] = {
        "machine": {
            "processor": "Some <CPU>", "processors": 2, "system": "Linux 6", "python": "3.11.2", "date": "2026-01-02",
            "pinned": True, "load_before": 0.25, "load_after": 1.5,
        },
        "versions": {"kvcy": "0.1", "redis": "7.0.15", "memcached": "1.6.18"},
        "settings": {
            "rounds": 3, "requests": {1: 100_000, 16: 500_000}, "connections": 50, "value_bytes": 64,
            "keys": 1_000_000, "idle_connections": 1000,
        },
        "throughput": rows,
        "bytes_per_key": {"kvcy": 75.2, "redis": 152.4, "memcached": 101.0},
        "bytes_per_idle_connection": {"kvcy": 900.0, "redis": 22_000.0, "memcached": 4500.0},
    }  # fmt: skip
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def test_a_row_has_medians_and_the_ratios_within_rounds(report: Any, results: dict[str, Any]) -> None:
    lines = report.table(results).splitlines()
    assert lines[0].startswith("| pipeline | command | kvcy 0.1, requests/s | Redis 7.0.15 |")
    assert lines[2:5] == [
        "| 1 | SET | 60,000 | 50,000 | 1.20 | 6.00 µs | 8.00 µs | 0.75 |",
        "| 16 | SET | 60,000 | 80,000 | 0.75 | 1.50 µs | 2.00 µs | 0.75 |",
        "| 16 | GET | 250,000 | 100,000 | 3.00 | 0.50 µs | 1.00 µs | 0.50 |",
    ]
    assert {line.count("|") for line in lines[:5]} == {9}


def test_memory_is_told_of_all_servers(report: Any, results: dict[str, Any]) -> None:
    lines = report.table(results).splitlines()
    assert "| resident memory | kvcy | Redis 7.0.15 | memcached 1.6.18 |" in lines
    assert "| bytes a key | 75 | 152 | 101 |" in lines
    assert "| bytes an idle connection | 900 | 22,000 | 4,500 |" in lines


def test_memcached_may_be_missing(report: Any, results: dict[str, Any]) -> None:
    for part in ("versions", "bytes_per_key", "bytes_per_idle_connection"):
        del results[part]["memcached"]
    assert "| bytes a key | 75 | 152 |" in report.table(results).splitlines()
    assert "memcached" not in report.chart(results)


def test_the_caption_tells_machine_settings_and_load(report: Any, results: dict[str, Any]) -> None:
    caption = report.table(results).splitlines()[-1]
    for part in (
        "50 connections", "values of 64 bytes", "3 interleaved rounds", "500,000 at depth 16", "1,000,000 keys",
        "Some <CPU>, 2 processors, Linux 6, Python 3.11.2", "load of the machine 0.2 before and 1.5 after",
        "on a processor of its own", "2026-01-02",
    ):  # fmt: skip
        assert part in caption
    results["machine"]["pinned"] = False
    assert "nothing pinned to a processor" in report.caption(results)


def test_a_table_replaces_the_one_before(report: Any) -> None:
    text = f"before\n{report.BEGIN}\n{report.END}\nafter\n"
    once = report.insert(text, "new")
    assert once == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    assert report.insert(once, "newer") == once.replace("new", "newer")


@pytest.mark.parametrize("text", ["", "{0}", "{1}", "{1} {0}", "{0} {0} {1}", "{0} {1} {1}"])
def test_a_text_without_the_markers_is_refused(report: Any, text: str) -> None:
    with pytest.raises(ValueError, match="benchmark table"):
        report.insert(text.format(report.BEGIN, report.END), "new")


def test_the_readme_has_the_markers(report: Any) -> None:
    assert "the table" in report.insert((ROOT / "README.md").read_text(), "the table")


def test_the_chart_has_a_bar_for_each_figure(report: Any, results: dict[str, Any]) -> None:
    image = ElementTree.fromstring(report.chart(results))
    width, height = float(image.attrib["width"]), float(image.attrib["height"])
    background, *boxes = image.iter(f"{SVG}rect")
    assert background.attrib["width"] == image.attrib["width"]
    bars = [box for box in boxes if box.attrib["x"] == "110" and box.attrib["height"] == "12"][1:]
    assert len(bars) == 2 * 3 * 2 + 3 + 3
    assert all(float(box.attrib["x"]) + float(box.attrib["width"]) <= width for box in boxes)
    assert all(float(box.attrib["y"]) + float(box.attrib["height"]) <= height for box in boxes)
    # GET at depth 16: the longest bar of its panel is kvcy's, and redis's is 100 / 250 of it.
    assert float(bars[4].attrib["width"]) == pytest.approx(560)
    assert float(bars[5].attrib["width"]) == pytest.approx(560 * 0.4)
    texts = [text.text for text in image.iter(f"{SVG}text")]
    assert "250,000" in texts and "0.50 µs" in texts and "memcached 1.6.18" in texts
