"""The table and the charts of what hit_ratio.py measured: results in, text out.

`traces` of the results has for each trace and share, as text, {line: {"hit_ratio", "keys"}}; a line is a server with a
policy, or a simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from comparison_report import document, text

# What is shown, in the order of the table: its title, its colour, its dashes.
LINES = {
    "kvcy-lru": ("kvcy lru", "#2563a8", ""),
    "kvcy-lfu": ("kvcy lfu", "#0f766e", ""),
    "kvcy-sieve": ("kvcy sieve", "#7c3aed", ""),
    "kvcy-s3fifo": ("kvcy s3fifo", "#b45309", ""),
    "kvcy-tinylfu": ("kvcy tinylfu", "#be123c", ""),
    "redis-lru": ("Redis lru", "#8e959f", ""),
    "redis-lfu": ("Redis lfu", "#c2c7ce", ""),
    "exact-lru": ("exact LRU, simulated", "#2563a8", "2 4"),
    "optimum": ("optimum, simulated", "#24292f", "2 4"),
}

# The chart, in px.
WIDTH = 760
LEFT = 60
RIGHT = 200
TOP = 44
PLOT_HEIGHT = 320
FOOT = 52
LEGEND_STEP = 20
DOT = 3


def chart_name(trace: str) -> str:
    return f"hit_ratio_{trace}.svg"


def shares_of(results: dict[str, Any], trace: str) -> list[str]:
    return sorted(results["traces"][trace], key=float)


def table(results: dict[str, Any]) -> str:
    """Hit ratios in % in Markdown: a row for each trace and share, the best server of each in bold; the charts."""
    titles = [title for title, _, _ in LINES.values()]
    rows = [f"| trace | memory | {' | '.join(titles)} |", "|---|---:|" + "---:|" * len(titles)]
    for trace in results["traces"]:
        for share in shares_of(results, trace):
            rows.append(f"| {trace} | {float(share):.0%} | {' | '.join(cells(results['traces'][trace][share]))} |")
    charts = [f"![Hit ratio over memory, {trace}]({chart_name(trace)})" for trace in results["traces"]]
    versions = results["versions"]
    return "\n".join([*rows, "", f"kvcy {versions['kvcy']}, Redis {versions['redis']}.", "", *charts])


def cells(figures: dict[str, Any]) -> list[str]:
    ratios = {name: f"{100 * figures[name]['hit_ratio']:.1f}" for name in LINES if name in figures}
    best = max((float(ratios[name]) for name in ratios if name.startswith(("kvcy-", "redis-"))), default=-1.0)
    shown = []
    for name in LINES:
        ratio = ratios.get(name, "")
        is_best = ratio and name.startswith(("kvcy-", "redis-")) and float(ratio) == best
        shown.append(f"**{ratio}**" if is_best else ratio)
    return shown


def chart(results: dict[str, Any], trace: str) -> str:
    """Hit ratio over memory as SVG, a line for each server and simulation; memory doubles from step to step."""
    by_share = results["traces"][trace]
    shares = shares_of(results, trace)
    highest = max(figure["hit_ratio"] for figures in by_share.values() for figure in figures.values())
    top_percent = min(max(10 * math.ceil(10 * highest), 10), 100)
    parts = [text(LEFT, 24, f"Hit ratio over memory: {trace}", weight=600)]
    parts += axes(shares, top_percent)
    for place, (name, (title, colour, dashes)) in enumerate(LINES.items()):
        points = [
            (x_of(shares, share), y_of(100 * by_share[share][name]["hit_ratio"], top_percent))
            for share in shares
            if name in by_share[share]
        ]
        if points:
            parts += line(points, colour, dashes)
            parts += legend(TOP + 8 + place * LEGEND_STEP, title, colour, dashes)
    return document(parts, WIDTH, TOP + PLOT_HEIGHT + FOOT, f"hit ratio over memory: {trace}")


def x_of(shares: Sequence[str], share: str) -> float:
    first, last = math.log(float(shares[0])), math.log(float(shares[-1]))
    part = (math.log(float(share)) - first) / (last - first) if last > first else 0.5
    return LEFT + 10 + part * (WIDTH - LEFT - RIGHT - 20)


def y_of(percent: float, top_percent: float) -> float:
    return TOP + PLOT_HEIGHT * (1 - percent / top_percent)


def axes(shares: Sequence[str], top_percent: int) -> list[str]:
    """The grid with its numbers."""
    parts = []
    for percent in range(0, top_percent + 1, 10 if top_percent <= 60 else 20):
        y = y_of(percent, top_percent)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        parts.append(text(LEFT - 8, y + 4, f"{percent} %", anchor="end", colour="#57606a"))
    for share in shares:
        parts.append(text(x_of(shares, share), TOP + PLOT_HEIGHT + 20, f"{float(share):.0%}", anchor="middle"))
    about = "memory for so many of the trace's keys"
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, TOP + PLOT_HEIGHT + 40, about, anchor="middle", colour="#57606a"))
    return parts


def line(points: Sequence[tuple[float, float]], colour: str, dashes: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{path}" {stroke(colour, dashes)}/>', *([] if dashes else dots)]


def legend(y: float, title: str, colour: str, dashes: str) -> list[str]:
    x = WIDTH - RIGHT + 16
    return [f'<path d="M{x} {y}h24" {stroke(colour, dashes)}/>', text(x + 32, y + 4, title)]


def stroke(colour: str, dashes: str) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'fill="none" stroke="{colour}" stroke-width="2"{dashed}'
