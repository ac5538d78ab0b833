"""SLOWLOG and LATENCY: what took long. The data are kept natively (commands/service.pyx)."""

from __future__ import annotations

from collections.abc import Sequence

from kvcy.server.config_command import text_of
from kvcy.server.context import Context, LatencySamples
from kvcy.server.histograms import calls, steps_us
from kvcy.server.replies import OK, Error, Reply, Verbatim

SLOWLOG_COUNT = 10
GRAPH_ROWS = 4
GRAPH_COLUMNS = 78


async def slowlog_get(context: Context, args: Sequence[bytes]) -> Reply:
    count = SLOWLOG_COUNT
    if len(args) > 1:
        return Error("ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.")
    if args:
        try:
            count = int(args[0])
        except ValueError:
            count = -2
        if not -1 <= count < 2**31:
            return Error("ERR count should be greater than or equal to -1")
    return [
        [one.number, one.time_s, one.duration_us, list(one.arguments), one.address, one.name]
        for one in context.server.native.slow_commands(count)
    ]


async def slowlog_len(context: Context, args: Sequence[bytes]) -> Reply:
    return context.server.native.slow_count()


async def slowlog_reset(context: Context, args: Sequence[bytes]) -> Reply:
    context.server.native.slow_reset()
    return OK


def series_of(context: Context, event: bytes) -> LatencySamples | None:
    name = text_of(event)
    return next((series for series in context.server.native.latencies() if series.event == name), None)


async def latency_latest(context: Context, args: Sequence[bytes]) -> Reply:
    return [[one.event, *one.samples[-1], one.max_ms] for one in context.server.native.latencies() if one.samples]


async def latency_history(context: Context, args: Sequence[bytes]) -> Reply:
    series = series_of(context, args[0])
    return [] if series is None else [list(sample) for sample in series.samples]


async def latency_reset(context: Context, args: Sequence[bytes]) -> Reply:
    return context.server.native.latency_reset([text_of(arg) for arg in args])


async def latency_histogram(context: Context, args: Sequence[bytes]) -> Reply:
    wanted = {text_of(arg).lower() for arg in args}
    found: dict[str, Reply] = {}
    for name, histogram in context.server.native.histograms().items():
        if not wanted or wanted & {name, name.partition("|")[0]}:
            row: dict[str, Reply] = {"calls": calls(histogram), "histogram_usec": steps_us(histogram)}
            found[name] = row
    return found


async def latency_graph(context: Context, args: Sequence[bytes]) -> Reply:
    series = series_of(context, args[0])
    if series is None or not series.samples:
        return Error(f"ERR No samples available for event '{text_of(args[0])}'")
    return Verbatim(graph(series, int(context.server.clock())))


def graph(series: LatencySamples, now_s: int) -> str:
    """Columns of # whose height is the latency, over the age of each sample, read from top to bottom."""
    samples = series.samples[-GRAPH_COLUMNS:]
    high = max(latency_ms for _, latency_ms in samples)
    low = min(latency_ms for _, latency_ms in samples)
    heights = [1 + (latency_ms - low) * (GRAPH_ROWS - 1) // max(high - low, 1) for _, latency_ms in samples]
    lines = [f"{series.event} - high {high} ms, low {low} ms (all time high {series.max_ms} ms)", "-" * 80]
    for row in range(GRAPH_ROWS, 0, -1):
        lines.append("".join("#" if height >= row else " " for height in heights).rstrip())
    lines.append("")
    ages = [age_text(now_s - time_s) for time_s, _ in samples]
    for row in range(max(map(len, ages))):
        lines.append("".join(age[row] if row < len(age) else " " for age in ages).rstrip())
    return "\n".join(lines) + "\n"


def age_text(age_s: int) -> str:
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if age_s >= size_s:
            return f"{age_s // size_s}{unit}"
    return f"{max(age_s, 0)}s"


async def latency_doctor(context: Context, args: Sequence[bytes]) -> Reply:
    threshold_ms = context.server.config.options.latency_monitor_threshold
    if threshold_ms == 0:
        return Verbatim(
            "Latencies are not being recorded. CONFIG SET latency-monitor-threshold <milliseconds> starts it.\n"
        )
    found = [one for one in context.server.native.latencies() if one.samples]
    if not found:
        return Verbatim(f"Nothing has taken {threshold_ms} ms or longer since recording began.\n")
    lines = [f"What took {threshold_ms} ms or longer:"]
    for one in found:
        values = [latency_ms for _, latency_ms in one.samples]
        mean = sum(values) / len(values)
        lines.append(
            f"{one.event}: {len(values)} samples, mean {mean:.0f} ms, worst {one.max_ms} ms,"
            f" last {age_text(int(context.server.clock()) - one.samples[-1][0])} ago."
        )
    if any(one.event.endswith("command") for one in found):
        lines.append("SLOWLOG GET names the commands; those over many keys take time in proportion to them.")
    return Verbatim("\n".join(lines) + "\n")
