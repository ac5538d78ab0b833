"""Measures kvcy beside redis-server and memcached on this machine, and writes the figures into the documentation.

Run: `python benchmarks/compare.py` (minutes) or, to try it, with `--quick` (which writes nothing but to --output).

What is measured:

- Requests a second and the server's CPU time a request, by redis-benchmark: SET and GET, 50 connections, values of 64
  bytes, keys at random out of 100,000, pipelines of 1, 16 and 100. The server runs on one processor, the load on
  another, where there are two. Rounds are interleaved: each measures both servers, one after the other, in changing
  order; figures are medians, and ratios are medians of the ratios within a round, as what else the machine does changes
  in time.
- Resident bytes a key of 16 bytes with a value of 32: the growth of the process by N keys. memcached takes part by its
  own protocol.
- Resident bytes an idle connection: the growth of the process by connections that each asked one thing and then rested
  for some seconds.

Limits: one machine, the loopback, redis-benchmark with one thread, which at depth 1 is often the slower side; the CPU
time a request is then the figure to look at. Results go to benchmarks/results.json, a table to README.md, a chart to
docs/benchmarks.svg.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import comparison_report
import comparison_servers
from comparison_servers import Server

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 50
VALUE_BYTES = 64
KEYSPACE = 100_000
DEPTHS = (1, 16, 100)
COMMANDS = ("SET", "GET")
KEY_VALUE = b"v" * 32
# For how long connections rest before their memory is looked at: servers give buffers back with a delay.
REST_S = 5


def processors() -> tuple[int | None, int | None]:
    """The processors for the server and for the load; None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def load_once(
    server: Server,
    command: str,
    depth: int,
    requests: int,
    cpu: int | None,
    connections: int = CONNECTIONS,
    *,
    keyspace: int = KEYSPACE,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """One run of redis-benchmark, maybe with more options: {requests_per_s, cpu_ns, p50_ms, p99_ms}."""
    arguments = ["redis-benchmark", "-p", str(server.port), "-t", command.lower(), "-c", str(connections)]
    arguments += ["-d", str(VALUE_BYTES), "-P", str(depth), "-n", str(requests), "-r", str(keyspace), "--csv"]
    arguments += options
    before = server.cpu_ns()
    with comparison_servers.pinned(cpu):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output, _ = process.communicate()
    used = server.cpu_ns() - before
    if process.returncode != 0:
        raise RuntimeError(f"redis-benchmark failed with {process.returncode}:\n{output}")
    row = next(row for row in csv.DictReader(io.StringIO(output)) if row["test"] == command)
    return {
        "requests_per_s": float(row["rps"]),
        "cpu_ns": used / requests,
        "p50_ms": float(row["p50_latency_ms"]),
        "p99_ms": float(row["p99_latency_ms"]),
    }


def measure_throughput(rounds: int, requests: dict[int, int], names: list[str]) -> list[dict[str, Any]]:
    """Rows of all rounds; the servers stay up, and all hold the same keys."""
    server_cpu, load_cpu = processors()
    rows = []
    with ExitStack() as stack:
        servers = {name: stack.enter_context(comparison_servers.running(name, server_cpu)) for name in names}
        for server in servers.values():
            server.fill(KEYSPACE, b"v" * VALUE_BYTES)
            load_once(server, "GET", 16, 20_000, load_cpu)
        for number in range(rounds):
            for depth in DEPTHS:
                for command in COMMANDS:
                    for name in names if number % 2 == 0 else reversed(names):
                        figures = load_once(servers[name], command, depth, requests[depth], load_cpu)
                        rows.append({"round": number, "server": name, "command": command, "depth": depth, **figures})
                        tell(f"round {number + 1} {name} {command} {depth}: {figures['requests_per_s']:.0f}/s")
    return rows


def measure_memory(name: str, keys: int) -> float:
    """Resident bytes a key."""
    with comparison_servers.running(name, None) as server:
        server.ask(server.ping)
        before = server.resident_bytes()
        server.fill(keys, KEY_VALUE)
        figure = (server.resident_bytes() - before) / keys
    tell(f"{name}: {figure:.1f} bytes a key")
    return figure


def measure_idle(name: str, connections: int) -> float:
    """Resident bytes a connection that rests after one request."""
    with comparison_servers.running(name, None) as server, ExitStack() as stack:
        for _ in range(10):
            server.ask(server.ping)
        before = server.resident_bytes()
        for _ in range(connections):
            connection = stack.enter_context(server.connect())
            connection.sendall(server.ping)
            if not connection.recv(100):
                raise RuntimeError(f"{name} closed a connection")
        time.sleep(REST_S)
        figure = (server.resident_bytes() - before) / connections
    tell(f"{name}: {figure:.0f} bytes a connection")
    return figure


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "pinned": processors()[0] is not None,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole comparison."""
    names = comparison_servers.available()
    if "redis" not in names:
        raise SystemExit("redis-server is not installed (Debian: apt install redis-server)")
    connections = 200 if options.quick else 1000
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], min(limit[1], 4096)), limit[1]))
    requests = {1: 2_000, 16: 10_000, 100: 20_000} if options.quick else {1: 100_000, 16: 500_000, 100: 1_000_000}
    loads = [os.getloadavg()[0]]
    rows = measure_throughput(options.rounds, requests, [name for name in names if name != "memcached"])
    loads.append(os.getloadavg()[0])
    # With two tries each, the median is their mean.
    memory = {name: statistics.median(measure_memory(name, options.keys) for _ in range(2)) for name in names}
    idle = {name: measure_idle(name, connections) for name in names}
    return {
        "machine": {**machine(), "load_before": round(loads[0], 2), "load_after": round(loads[1], 2)},
        "versions": {name: comparison_servers.version(name) for name in names},
        "settings": {
            "rounds": options.rounds,
            "requests": requests,
            "connections": CONNECTIONS,
            "value_bytes": VALUE_BYTES,
            "keys": options.keys,
            "idle_connections": connections,
        },
        "throughput": rows,
        "bytes_per_key": memory,
        "bytes_per_idle_connection": idle,
    }


def main() -> None:
    # An installed kvcy, or else the one that is compiled in this tree.
    sys.path.append(str(ROOT))
    parser = argparse.ArgumentParser(description="Measure kvcy beside redis-server and memcached.")
    parser.add_argument("--quick", action="store_true", help="a trial of some seconds, which writes no documentation")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 7, quick: 1")
    parser.add_argument("--keys", type=int, metavar="N", help="for the memory a key; default: 1000000, quick: 20000")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: benchmarks/results.json, quick: none")
    parser.add_argument("--report", action="store_true", help="measure nothing: table and chart of an earlier result")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 7)
    options.keys = options.keys or (20_000 if options.quick else 1_000_000)
    output = options.output or (None if options.quick else ROOT / "benchmarks" / "results.json")
    if options.report:
        results = json.loads((output or ROOT / "benchmarks" / "results.json").read_text())
    else:
        results = measure(options)
        if output is not None:
            output.write_text(json.dumps(results, indent=1) + "\n")
    print(comparison_report.table(results))
    if not options.quick:
        readme = ROOT / "README.md"
        shown = comparison_report.table(results) + "\n\n![The same as a chart](docs/benchmarks.svg)"
        readme.write_text(comparison_report.insert(readme.read_text(), shown))
        (ROOT / "docs" / "benchmarks.svg").write_text(comparison_report.chart(results))


if __name__ == "__main__":
    main()
