"""The hit ratios' table and charts, from canned results, and the simulations they are shown beside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", autouse=True)
def benchmarks() -> Any:
    """The files below are beside a command and in no package."""
    sys.path.append(str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def report() -> Any:
    import hit_ratio_report

    return hit_ratio_report


def figure(ratio: float) -> dict[str, Any]:
    return {"hit_ratio": ratio, "keys": 100}


@pytest.fixture
def results() -> dict[str, Any]:
    small = {"kvcy-lru": figure(0.2), "redis-lru": figure(0.25), "exact-lru": figure(0.3), "optimum": figure(0.5)}
    large = {"kvcy-lru": figure(0.7), "redis-lru": figure(0.4), "exact-lru": figure(0.71), "optimum": figure(0.8)}
    other = {"kvcy-sieve": figure(0.0)}
    return {
        "versions": {"kvcy": "0.1", "redis": "7.0.15"},
        "traces": {"web": {"0.1": large, "0.05": small}, "loop": {"0.05": other}},
    }


def test_the_best_server_of_a_row_is_bold(report: Any, results: dict[str, Any]) -> None:
    lines = report.table(results).splitlines()
    assert lines[2:5] == [
        "| web | 5% | 20.0 |  |  |  |  | **25.0** |  | 30.0 | 50.0 |",
        "| web | 10% | **70.0** |  |  |  |  | 40.0 |  | 71.0 | 80.0 |",
        "| loop | 5% |  |  | **0.0** |  |  |  |  |  |  |",
    ]
    assert {line.count("|") for line in lines[:5]} == {len(report.LINES) + 3}
    assert "](hit_ratio_web.svg)" in lines[-2] and "](hit_ratio_loop.svg)" in lines[-1]


def test_a_chart_has_a_line_for_each_that_was_measured(report: Any, results: dict[str, Any]) -> None:
    image = ElementTree.fromstring(report.chart(results, "web"))
    lines = [[tuple(map(float, at.split(","))) for at in one.attrib["points"].split()]
             for one in image.iter(f"{SVG}polyline")]  # fmt: skip
    assert len(lines) == 4
    width, height = float(image.attrib["width"]), float(image.attrib["height"])
    assert all(0 < x < width and 0 < y < height for one in lines for x, y in one)
    # From 5 to 10 % to the right; the more hits, the higher: the scale ends at 80 %, above 320 px.
    for (left, low), (right, high) in lines:
        assert left < right and low > high
    assert lines[0][0][1] - lines[0][1][1] == pytest.approx(320 * (0.7 - 0.2) / 0.8, abs=0.2)
    texts = [text.text for text in image.iter(f"{SVG}text")]
    assert {"kvcy lru", "Redis lru", "5%", "10%", "80 %"} <= set(texts) and "kvcy lfu" not in texts


def test_one_share_without_hits_is_a_chart_too(report: Any, results: dict[str, Any]) -> None:
    image = ElementTree.fromstring(report.chart(results, "loop"))
    assert len(list(image.iter(f"{SVG}circle"))) == 1


def test_the_page_has_the_markers_and_the_charts() -> None:
    import comparison_report

    page = (ROOT / "docs" / "eviction.md").read_text()
    assert "the table" in comparison_report.insert(page, "the table")
    for name in ("cloudphysics", "loop", "sprite", "web07"):
        assert f"(hit_ratio_{name}.svg)" in page
        ElementTree.parse(ROOT / "docs" / f"hit_ratio_{name}.svg")


def test_simulations() -> None:
    import hit_ratio_simulation

    loop = [0, 1, 2] * 4
    assert hit_ratio_simulation.simulate(loop, 2, hit_ratio_simulation.MODELS["lru"]()) == 0
    assert hit_ratio_simulation.simulate(loop, 3, hit_ratio_simulation.MODELS["lru"]()) == 9 / 12
    assert hit_ratio_simulation.optimum(loop, 2) == 5 / 12
