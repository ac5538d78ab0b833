"""Measures hit ratios of kvcy's and redis-server's eviction policies on cache traces, at equal memory.

Run: `python benchmarks/hit_ratio.py TRACE.txt.gz ... [--shares 0.05 0.1] [--servers kvcy-lru redis-lru]`. A trace is a
text file, plain or compressed, with one key a line, in the order of the requests.

A request is a GET, and a miss is followed by a SET of 1,000 bytes; a SET that is refused leaves it a miss. `maxmemory`
is what an empty server says it uses, and a share of 1,100 bytes for each of the trace's keys: what fits beside the
values is the server's own doing. Each server is started anew for each figure. Beside them stand exact LRU and the
optimum (hit_ratio_simulation.py), with as many keys as kvcy had at the end under `allkeys-lru`.

Results go to benchmarks/hit_ratios.json, a table to docs/eviction.md, and for each trace a chart to docs/; the figures
of traces, shares and servers that are not measured are kept. `--report` measures nothing. With one connection that
waits for each reply this takes minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import comparison_report
import comparison_servers
import hit_ratio_report
from comparison_servers import Server
from hit_ratio_simulation import MODELS, load, optimum, simulate

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "hit_ratios.json"
KEY_BYTES = 1100
VALUE = b"x" * 1000
SET_TAIL = b"$%d\r\n%s\r\n" % (len(VALUE), VALUE)

Row = dict[str, Any]


def used_bytes(server: Server) -> int:
    """used_memory of INFO."""
    with server.connect() as connection, connection.makefile("rwb") as stream:
        stream.write(b"INFO memory\r\n")
        stream.flush()
        text: bytes = stream.read(int(stream.readline()[1:]))
    found = re.search(rb"used_memory:(\d+)", text)
    if found is None:
        raise RuntimeError("INFO tells no used_memory")
    return int(found[1])


def replay(server: Server, trace: list[int]) -> float:
    """The share of requests that hit."""
    hits = 0
    with server.connect() as connection, connection.makefile("rb") as replies:
        for number in trace:
            name = b"trace:%d" % number
            key = b"$%d\r\n%s\r\n" % (len(name), name)
            connection.sendall(b"*2\r\n$3\r\nGET\r\n" + key)
            head = replies.readline()
            if head == b"$-1\r\n":
                connection.sendall(b"*3\r\n$3\r\nSET\r\n" + key + SET_TAIL)
                replies.readline()
                continue
            if len(replies.read(int(head[1:]) + 2)) != len(VALUE) + 2:
                raise RuntimeError("a value has come back as another")
            hits += 1
    return hits / len(trace)


def measure(name: str, trace: list[int], share_bytes: int) -> Row:
    """One figure of `kvcy-lru`, `redis-lfu` and so on."""
    server_name, _, policy = name.partition("-")
    options = ["--maxmemory-policy", f"allkeys-{policy}", "--maxmemory"]
    with comparison_servers.running(server_name, None, *options, str(share_bytes)) as server:
        limit = used_bytes(server) + share_bytes
    with comparison_servers.running(server_name, None, *options, str(limit)) as server:
        ratio = replay(server, trace)
        return {"hit_ratio": ratio, "keys": server.count()}


def measure_share(trace: list[int], share: float, names: list[str]) -> dict[str, Row]:
    """{name: figure} of the servers, and of the simulations where kvcy-lru is among them."""
    rows: dict[str, Row] = {}
    for name in names:
        rows[name] = measure(name, trace, int((max(trace) + 1) * KEY_BYTES * share))
        print(f"{share:.0%} {name}: {rows[name]['hit_ratio']:.2%}", file=sys.stderr, flush=True)
    if "kvcy-lru" in rows:
        keys = rows["kvcy-lru"]["keys"]
        rows["exact-lru"] = {"hit_ratio": simulate(trace, keys, MODELS["lru"]()), "keys": keys}
        rows["optimum"] = {"hit_ratio": optimum(trace, keys), "keys": keys}
    return rows


def write_report(results: dict[str, Any]) -> None:
    page = ROOT / "docs" / "eviction.md"
    page.write_text(comparison_report.insert(page.read_text(), hit_ratio_report.table(results)))
    for trace in results["traces"]:
        (ROOT / "docs" / hit_ratio_report.chart_name(trace)).write_text(hit_ratio_report.chart(results, trace))


def main() -> None:
    servers = [name for name in hit_ratio_report.LINES if "-" in name and not name.startswith("exact")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="*", type=Path)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--servers", nargs="+", choices=servers, default=servers)
    parser.add_argument("--report", action="store_true", help="measure nothing: table and charts of earlier results")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"traces": {}}
    if not options.report:
        results["versions"] = {name: comparison_servers.version(name) for name in ("kvcy", "redis")}
    for path in [] if options.report else options.traces:
        numbers = load(path)
        shares = results["traces"].setdefault(path.name.partition(".")[0], {})
        for share in options.shares:
            shares.setdefault(f"{share:g}", {}).update(measure_share(numbers, share, options.servers))
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_report(results)


if __name__ == "__main__":
    main()
