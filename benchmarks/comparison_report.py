"""The table and the chart of what compare.py measured: text in, text out.

The results are those of results.json: `throughput` has a row for each round, server, command and depth. A figure of the
table is the median over the rounds; a ratio is the median of the ratios within a round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

BEGIN = "<!-- benchmark table -->"
END = "<!-- end of benchmark table -->"
COLOURS = {"kvcy": "#2563a8", "redis": "#c2c7ce", "memcached": "#8e959f"}

# The chart, in px.
WIDTH = 760
LEFT = 110
RIGHT = 90
BAR = 13
GAP = 9
HEAD = 34


def cases(results: dict[str, Any]) -> list[tuple[str, int]]:
    """The measured pairs of command and depth, by depth."""
    pairs = {(row["command"], row["depth"]) for row in results["throughput"]}
    return sorted(pairs, key=lambda pair: (pair[1], pair[0] != "SET"))


def median(results: dict[str, Any], server: str, command: str, depth: int, figure: str) -> float:
    """One figure of a server over the rounds."""
    return statistics.median(rounds(results, server, command, depth, figure).values())


def ratio(results: dict[str, Any], command: str, depth: int, figure: str) -> float:
    """kvcy's figure by redis's, within each round."""
    ours = rounds(results, "kvcy", command, depth, figure)
    theirs = rounds(results, "redis", command, depth, figure)
    return statistics.median(ours[number] / theirs[number] for number in ours.keys() & theirs.keys())


def rounds(results: dict[str, Any], server: str, command: str, depth: int, figure: str) -> dict[int, float]:
    """{round: figure}."""
    wanted = (server, command, depth)
    rows = results["throughput"]
    return {row["round"]: row[figure] for row in rows if (row["server"], row["command"], row["depth"]) == wanted}


def thousands(number: float) -> str:
    return f"{number:,.0f}"


def table(results: dict[str, Any]) -> str:
    """The Markdown tables, and the caption that tells how they came about."""
    versions = results["versions"]
    lines = [
        f"| pipeline | command | kvcy {versions['kvcy']}, requests/s | Redis {versions['redis']} | ratio "
        "| kvcy, CPU a request | Redis | ratio |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for command, depth in cases(results):
        cells = [str(depth), command]
        for figure, form in (("requests_per_s", thousands), ("cpu_ns", microseconds)):
            cells += [form(median(results, name, command, depth, figure)) for name in ("kvcy", "redis")]
            cells.append(f"{ratio(results, command, depth, figure):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    names = [name for name in COLOURS if name in results["bytes_per_key"]]
    titles = {"kvcy": "kvcy", "redis": f"Redis {versions['redis']}", "memcached": "memcached"}
    if "memcached" in versions:
        titles["memcached"] += f" {versions['memcached']}"
    lines += ["", "| resident memory | " + " | ".join(titles[name] for name in names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    for title, figure in (("bytes a key", "bytes_per_key"), ("bytes an idle connection", "bytes_per_idle_connection")):
        lines.append(f"| {title} | " + " | ".join(thousands(results[figure][name]) for name in names) + " |")
    return "\n".join([*lines, "", caption(results)])


def microseconds(ns: float) -> str:
    return f"{ns / 1000:.2f} µs"


def caption(results: dict[str, Any]) -> str:
    """Machine, settings, and how busy the machine was."""
    machine, settings = results["machine"], results["settings"]
    requests = ", ".join(f"{thousands(count)} at depth {depth}" for depth, count in settings["requests"].items())
    place = "server and load each on a processor of its own" if machine["pinned"] else "nothing pinned to a processor"
    many = "s" if settings["rounds"] != 1 else ""
    return (
        f"redis-benchmark, {settings['connections']} connections, values of {settings['value_bytes']} bytes, {place}; "
        f"{settings['rounds']} interleaved round{many} ({requests}), medians, ratios within a round. "
        f"Memory: {thousands(settings['keys'])} keys of 16 bytes with values of 32; "
        f"{thousands(settings['idle_connections'])} connections after one request each. "
        f"{machine['processor']}, {machine['processors']} processors, {machine['system']}, Python {machine['python']}; "
        f"load of the machine {machine['load_before']:.1f} before and {machine['load_after']:.1f} after; "
        f"{machine['date']}."
    )


def insert(text: str, new: str) -> str:
    """`text` with `new` between the two markers.

    Raises ValueError when they are not there once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the text needs {BEGIN} and then {END}, once each")
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


Row = tuple[str, dict[str, float]]


def chart(results: dict[str, Any]) -> str:
    """The chart as SVG: throughput, CPU time, memory; a panel each."""
    servers = ("kvcy", "redis")
    names = [name for name in COLOURS if name in results["bytes_per_key"]]

    def rows(figure: str) -> list[Row]:
        return [
            (f"{command}, depth {depth}", {name: median(results, name, command, depth, figure) for name in servers})
            for command, depth in cases(results)
        ]

    memory = [
        ("a key", {name: results["bytes_per_key"][name] for name in names}),
    ]
    idle = [
        ("a connection", {name: results["bytes_per_idle_connection"][name] for name in names}),
    ]
    parts: list[str] = []
    y = 40
    for title, group, form in (
        ("Requests a second (more is better)", rows("requests_per_s"), thousands),
        ("CPU time of the server a request (less is better)", rows("cpu_ns"), microseconds),
        ("Resident bytes a key (less is better)", memory, thousands),
        ("Resident bytes an idle connection (less is better)", idle, thousands),
    ):
        y = panel(parts, y, title, group, form)
    return document([*legend(names, results["versions"]), *parts], WIDTH, y, "kvcy beside other servers")


def document(parts: Sequence[str], width: int, height: int, label: str) -> str:
    """An SVG file with a white ground."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(label)}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def text(
    x: float, y: float, content: str, *, anchor: str = "", weight: int = 0, size: int = 0, colour: str = "#24292f"
) -> str:
    """A line of text; what is left out is as the document has it."""
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += f' font-weight="{weight}"' if weight else ""
    more += f' font-size="{size}"' if size else ""
    return f'<text x="{x:g}" y="{y:g}"{more} fill="{colour}">{escape(content)}</text>'


def legend(names: Sequence[str], versions: dict[str, str]) -> list[str]:
    """A coloured square and a name for each server."""
    parts = []
    for place, name in enumerate(names):
        x = LEFT + place * 170
        parts.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[name]}"/>')
        parts.append(text(x + 18, 24, f"{name} {versions[name]}"))
    return parts


def panel(parts: list[str], y: int, title: str, rows: Sequence[Row], form: Callable[[float], str]) -> int:
    """Appends a panel of horizontal bars that starts at `y`; where the next one starts."""
    longest = max(max(values.values()) for _, values in rows) or 1
    parts.append(text(LEFT, y + 20, title, weight=600))
    y += HEAD
    for label, values in rows:
        middle = y + len(values) * BAR / 2 + 4
        parts.append(text(LEFT - 8, middle, label, anchor="end", colour="#57606a"))
        for name, value in values.items():
            width = (WIDTH - LEFT - RIGHT) * value / longest
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{COLOURS[name]}"/>')
            parts.append(text(round(LEFT + width + 5, 1), y + 10, form(value), size=11))
            y += BAR
        y += GAP
    return y + GAP
