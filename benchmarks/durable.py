"""Measures SET with a log on disk beside redis-server: `appendfsync always` and `everysec`.

Run: `python benchmarks/durable.py` (a minute). The log lies where temporary files do (TMPDIR).

With `--disk-sync-us 1000` it lies on a disk in memory that takes so long for each sync that it is asked for: ext4 on a
loop device on a file system of FUSE (slow_disk.c). What a server's sync then takes depends on what it asks of ext4: a
file that grows needs two syncs of the disk, for its bytes and for the journal, one that is written in place needs one.
That needs root, a C compiler, and from Debian libfuse3-dev, fuse3 and e2fsprogs.

Rounds are interleaved; figures are medians, ratios medians of the ratios within a round. The server runs on one
processor, redis-benchmark on another, where there are two. Limits: what else uses the disk is in the figures, and its
interrupts cost one of these processors time.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import compare
import comparison_servers

DISK_MIB = 2048
NAMES = ("redis", "kvcy")
LOADS = (  # appendfsync, connections, depth, requests
    ("always", 1, 1, 2_000),
    ("always", 50, 1, 40_000),
    ("everysec", 50, 1, 100_000),
    ("everysec", 50, 16, 400_000),
)


def output_of(*words: str) -> str:
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def slow_disk(sync_us: int) -> Iterator[Path]:
    """An ext4 file system on a disk that takes so many microseconds for a sync."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvcy-slow-disk-")))
        program, mount, root = place / "slow_disk", place / "fuse", place / "root"
        mount.mkdir()
        root.mkdir()
        flags = shlex.split(output_of("pkg-config", "--cflags", "--libs", "fuse3"))
        source = Path(__file__).with_name("slow_disk.c")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", str(source), "-o", str(program), *flags], check=True)
        process = subprocess.Popen([str(program), str(DISK_MIB), str(sync_us), str(mount)])
        stack.callback(process.wait)
        stack.callback(subprocess.run, ["umount", str(mount)], check=True)
        end = time.monotonic() + 10
        while not (mount / "disk").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the slow disk could not be mounted")
            time.sleep(0.01)
        device = output_of("losetup", "--find", "--show", str(mount / "disk"))
        stack.callback(subprocess.run, ["losetup", "--detach", device], check=True)
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        subprocess.run(["mount", device, str(root)], check=True)
        stack.callback(subprocess.run, ["umount", str(root)], check=True)
        yield root


def measure(policy: str, connections: int, depth: int, requests: int, rounds: int) -> None:
    """A line for each server."""
    server_cpu, load_cpu = compare.processors()
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    with contextlib.ExitStack() as stack:
        options = ["--appendonly", "yes", "--appendfsync", policy]
        servers = {name: stack.enter_context(comparison_servers.running(name, server_cpu, *options)) for name in NAMES}
        for _ in range(rounds):
            for name in NAMES:
                figures = compare.load_once(servers[name], "SET", depth, requests, load_cpu, connections)
                rows[name].append((figures["requests_per_s"], figures["cpu_ns"] / 1000))
    for name in NAMES:
        rate, cpu = (statistics.median(values) for values in zip(*rows[name], strict=True))
        faster, dearer = (
            statistics.median(one[at] / other[at] for one, other in zip(rows[name], rows["redis"], strict=True))
            for at in (0, 1)
        )
        print(
            f"{policy:9} {connections:3} connections, depth {depth:2}  {name:6} {rate:9.0f} requests/s ({faster:.2f})"
            f"  {cpu:6.2f} us of processor time a request ({dearer:.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of requests")
    parser.add_argument("--disk-sync-us", type=int, help="lay the log on a disk that takes so long for a sync")
    options = parser.parse_args()
    sys.path.append(str(compare.ROOT))  # an installed kvcy, or else the one that is compiled in this tree
    with contextlib.ExitStack() as stack:
        if options.disk_sync_us is not None:
            tempfile.tempdir = str(stack.enter_context(slow_disk(options.disk_sync_us)))
        for policy, connections, depth, requests in LOADS:
            if options.disk_sync_us is None or policy == "always":
                measure(policy, connections, depth, int(requests * options.scale), options.rounds)


if __name__ == "__main__":
    main()
