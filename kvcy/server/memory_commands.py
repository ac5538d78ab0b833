"""What memory is used for: the figures of INFO memory, and MEMORY STATS and DOCTOR, which read them for people.

    used       what the engine's entries, tables and the clients' buffers take
    taken      with what the engine's allocator holds for later: pages that are not full, free places in arrays
    resident   what the system counts for the whole process, the interpreter included
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvcy.server.context import Context, ServerState, resident_bytes
from kvcy.server.replies import Reply, Verbatim

SMALL_BYTES = 5 << 20  # below this nothing is worth a word
WASTE_BYTES_MIN = 10 << 20
CLIENT_BYTES_MAX = 200 << 10  # on average; more is unusual


@dataclass(frozen=True)
class MemoryUse:
    """Bytes, at one moment."""

    used: int
    taken: int
    clients: int  # what they and their buffers take
    start: int  # used before there was any key
    peak: int
    resident: int
    expected: int  # resident, if nothing were wasted: the interpreter's own memory is no fragmentation
    limit: int  # maxmemory
    keys: int
    client_count: int

    @property
    def not_counted(self) -> int:
        """Of what clients take, what does not count against the limit."""
        return max(self.clients - self.limit // 2, 0)

    @property
    def overhead(self) -> int:
        return min(self.used, self.start + self.clients)

    @property
    def dataset(self) -> int:
        return self.used - self.overhead

    @property
    def dataset_percentage(self) -> float:
        return 100 * self.dataset / max(self.used - self.start, 1)

    @property
    def peak_percentage(self) -> float:
        return 100 * self.used / self.peak if self.peak else 100.0

    @property
    def allocator_ratio(self) -> float:
        return self.taken / self.used if self.used else 1.0

    @property
    def overhead_ratio(self) -> float:
        return self.resident / self.taken if self.taken else 1.0

    @property
    def fragmentation(self) -> float:
        return self.resident / self.expected if self.expected else 0.0


def memory_use(state: ServerState) -> MemoryUse:
    totals = state.totals()
    used = totals["memory_bytes"]
    state.memory_peak_bytes = max(state.memory_peak_bytes, used)
    return MemoryUse(
        used=used,
        taken=totals["taken_bytes"],
        clients=totals["clients_bytes"],
        start=state.memory_start_bytes,
        peak=state.memory_peak_bytes,
        resident=resident_bytes(),
        expected=used + state.resident_start_bytes,
        limit=state.config.options.maxmemory,
        keys=sum(keys for keys, _ in state.native.databases()),
        client_count=totals["clients"],
    )


async def memory_stats(context: Context, args: Sequence[bytes]) -> Reply:
    use = memory_use(context.server)
    strings: dict[str, Reply] = {"keys": use.keys, "bytes": use.dataset}
    stats: dict[str, Reply] = {
        "peak.allocated": use.peak,
        "total.allocated": use.used,
        "startup.allocated": use.start,
        "replication.backlog": 0,
        "clients.slaves": 0,
        "clients.normal": use.clients,
        "cluster.links": 0,
        "aof.buffer": 0,
        "lua.caches": 0,
        "functions.caches": 0,
        "overhead.total": use.overhead,
        "keys.count": use.keys,
        "keys.bytes-per-key": max(use.used - use.start, 0) // use.keys if use.keys else 0,
        "type.string": strings,
        "dataset.bytes": use.dataset,
        "dataset.percentage": use.dataset_percentage,
        "peak.percentage": use.peak_percentage,
        "allocator.allocated": use.used,
        "allocator.active": use.taken,
        "allocator.resident": use.taken,
        "allocator-fragmentation.ratio": use.allocator_ratio,
        "allocator-fragmentation.bytes": use.taken - use.used,
        "allocator-rss.ratio": 1.0,
        "allocator-rss.bytes": 0,
        "rss-overhead.ratio": use.overhead_ratio,
        "rss-overhead.bytes": use.resident - use.taken,
        "fragmentation": use.fragmentation,
        "fragmentation.bytes": use.resident - use.expected,
    }
    return stats


def findings(use: MemoryUse, evicts: bool) -> Iterator[str]:
    """What is unusual, a sentence or two each."""
    if use.peak > use.used * 3 // 2:
        yield (
            f"Peak: once {use.peak} bytes were used, {use.peak / use.used:.1f} times as many as now."
            " Tables and pages shrink in the background; resident memory follows within seconds."
        )
    if use.taken - use.used > WASTE_BYTES_MIN and use.allocator_ratio > 1.1:
        yield (
            f"Fragmentation: pages and tables hold {use.taken - use.used} bytes ({use.allocator_ratio:.2f} times what"
            " is used) for entries to come. Compaction is at work after a mass deletion; if this stays, report it."
        )
    if use.resident - use.expected > WASTE_BYTES_MIN and use.fragmentation > 1.4:
        yield (
            f"Process: {use.resident} bytes are resident, {use.fragmentation:.2f} times what is accounted for."
            " A snapshot that is being written by a fork, or large replies, may be the cause."
        )
    if use.client_count and use.clients > use.client_count * CLIENT_BYTES_MAX:
        yield (
            f"Clients: {use.clients} bytes wait in the buffers of {use.client_count} clients. CLIENT LIST shows whose"
            " (tot-mem); client-output-buffer-limit bounds them."
        )
    if use.limit and not evicts and use.used > use.limit * 9 // 10:
        yield (
            f"Limit: {use.used} of {use.limit} bytes (maxmemory) are used, and maxmemory-policy is noeviction:"
            " writes will soon be refused."
        )


async def memory_doctor(context: Context, args: Sequence[bytes]) -> Reply:
    use = memory_use(context.server)
    if use.used < SMALL_BYTES:
        return Verbatim("So little memory is used that nothing can be said about it.\n")
    found = list(findings(use, context.server.config.options.maxmemory_policy != "noeviction"))
    if not found:
        return Verbatim("Nothing unusual was found in the use of memory.\n")
    return Verbatim("".join(f"* {sentence}\n" for sentence in found))
