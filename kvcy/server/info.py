"""INFO: facts and statistics in Redis's sections and field names.

A section is a function from the server's state to (field, value) pairs. Fields that stand for something kvcy does not
have (replicas, scripts, pub/sub) are there with the value that says "none", where tools read them.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from kvcy.server.context import Context, ServerState
from kvcy.server.histograms import percentile_text, percentile_us
from kvcy.server.memory_commands import memory_use
from kvcy.server.replies import Reply, Verbatim
from kvcy.version import REDIS_VERSION, VERSION

Field = tuple[str, object]


def server(state: ServerState) -> Iterable[Field]:
    now_s = state.clock()
    uptime_s = max(int(now_s - state.started_s), 0)
    options = state.config.options
    return [
        ("redis_version", REDIS_VERSION),
        ("kvcy_version", VERSION),
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", 0),
        ("redis_build_id", "0"),
        ("redis_mode", "standalone"),
        ("os", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("arch_bits", 64 if sys.maxsize > 2**32 else 32),
        ("monotonic_clock", "POSIX clock_gettime"),
        ("multiplexing_api", "epoll"),
        ("process_id", os.getpid()),
        ("process_supervised", options.supervised),
        ("run_id", state.run_id),
        ("tcp_port", options.port),
        ("server_time_usec", int(now_s * 1_000_000)),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", options.hz),
        ("configured_hz", options.hz),
        ("lru_clock", int(now_s) & 0xFFFFFF),
        ("executable", sys.executable),
        ("config_file", state.config.path or ""),
        ("io_threads_active", int(options.io_threads > 1)),
    ]


def clients(state: ServerState) -> Iterable[Field]:
    totals = state.totals()
    return [
        ("connected_clients", totals["clients"]),
        ("cluster_connections", 0),
        ("maxclients", state.config.options.maxclients),
        ("client_recent_max_input_buffer", totals["input_bytes_max"]),
        ("client_recent_max_output_buffer", totals["output_bytes_max"]),
        ("blocked_clients", 0),
        ("tracking_clients", 0),
        ("clients_in_timeout_table", 0),
    ]


def human(size_bytes: int) -> str:
    """A size as people read it, in Redis's form: 919.25K."""
    if size_bytes < 1024:
        return f"{size_bytes}B"
    value = float(size_bytes)
    for unit in "KMGTP":
        value /= 1024
        if value < 1024 or unit == "P":
            break
    return f"{value:.2f}{unit}"


def ordered_indexes(state: ServerState) -> Iterable[Field]:
    for database, (keys, size_bytes, complete) in state.native.ordered_indexes().items():
        yield f"ordered_index_db{database}", f"keys={keys},bytes={size_bytes},complete={int(complete)}"


def memory(state: ServerState) -> Iterable[Field]:
    use = memory_use(state)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        ("used_memory", use.used),
        ("used_memory_human", human(use.used)),
        ("used_memory_rss", use.resident),
        ("used_memory_rss_human", human(use.resident)),
        ("used_memory_peak", use.peak),
        ("used_memory_peak_human", human(use.peak)),
        ("used_memory_peak_perc", f"{use.peak_percentage:.2f}%"),
        ("used_memory_overhead", use.overhead),
        ("used_memory_startup", use.start),
        ("used_memory_dataset", use.dataset),
        ("used_memory_dataset_perc", f"{use.dataset_percentage:.2f}%"),
        ("type_string", f"keys={use.keys},bytes={use.dataset}"),
        ("total_system_memory", total),
        ("total_system_memory_human", human(total)),
        ("maxmemory", use.limit),
        ("maxmemory_human", human(use.limit)),
        ("maxmemory_policy", state.config.options.maxmemory_policy),
        ("allocator_allocated", use.used),
        ("allocator_active", use.taken),
        ("allocator_resident", use.taken),
        ("allocator_frag_ratio", f"{use.allocator_ratio:.2f}"),
        ("allocator_frag_bytes", use.taken - use.used),
        ("allocator_rss_ratio", "1.00"),
        ("allocator_rss_bytes", 0),
        ("rss_overhead_ratio", f"{use.overhead_ratio:.2f}"),
        ("rss_overhead_bytes", use.resident - use.taken),
        ("mem_fragmentation_ratio", f"{use.fragmentation:.2f}"),
        ("mem_fragmentation_bytes", use.resident - use.expected),
        ("mem_not_counted_for_evict", use.not_counted if use.limit else 0),
        ("mem_clients_slaves", 0),
        ("mem_clients_normal", use.clients),
        *ordered_indexes(state),
        ("mem_aof_buffer", 0),
        ("mem_allocator", "kvcy"),
        ("active_defrag_running", 0),
        ("lazyfree_pending_objects", 0),
        ("lazyfreed_objects", 0),
    ]


def persistence(state: ServerState) -> Iterable[Field]:
    log, saver = state.data.persistence, state.data.saver
    appended, durable = log.positions()
    counts = log.statistics()
    saving_s = round(time.monotonic() - saver.save_began_s) if saver.save_began_s else -1
    save_status = "err" if saver.last_save_failed else "ok"
    rewriting_s = saving_s if saver.rewriting else -1
    keys = sum(count for count, _ in state.native.databases()) if saving_s >= 0 else 0
    done = 0 if saving_s < 0 else saver.child.keys if saver.child else log.snapshots.keys
    fields: list[Field] = [
        ("loading", int(not state.data.watch.over)),
        ("async_loading", 0),
        ("current_fork_perc", f"{min(100 * done / keys, 100) if keys else 0:.2f}"),
        ("current_save_keys_processed", done),
        ("current_save_keys_total", keys),
        ("rdb_changes_since_last_save", saver.changes_since_save()),
        ("rdb_bgsave_in_progress", int(saving_s >= 0 and not saver.rewriting)),
        ("rdb_last_save_time", saver.last_save_s),
        ("rdb_last_bgsave_status", save_status),
        ("rdb_last_bgsave_time_sec", saver.last_save_took_s),
        ("rdb_current_bgsave_time_sec", -1 if saver.rewriting else saving_s),
        ("rdb_saves", saver.saves),
        ("rdb_last_cow_size", saver.cow_bytes),
        ("rdb_last_load_keys_expired", 0),
        ("rdb_last_load_keys_loaded", state.data.keys_loaded),
        ("aof_enabled", int(log.logging)),
        ("aof_rewrite_in_progress", int(rewriting_s >= 0)),
        ("aof_rewrite_scheduled", int(saver.scheduled is True)),
        ("aof_last_rewrite_time_sec", saver.last_save_took_s),
        ("aof_current_rewrite_time_sec", rewriting_s),
        ("aof_last_bgrewrite_status", save_status),
        ("aof_rewrites", saver.rewrites),
        ("aof_last_write_status", "err" if log.error else "ok"),
    ]
    if log.logging:
        base, begin = log.snapshots.bytes, log.snapshots.position
        fields += [("aof_current_size", base + appended - begin), ("aof_base_size", base)]
        fields += [("aof_pending_rewrite", int(saver.scheduled is True)), ("aof_buffer_length", log.unwritten_bytes)]
        fields += [("wal_position", appended), ("wal_durable_position", durable)]
        fields += [(f"wal_{name}", counts[name]) for name in ("records", "writes", "syncs")]
        fields += [(f"wal_{name}", counts[name]) for name in ("sync_last_us", "sync_max_us", "sync_total_us")]
    if not state.data.watch.over:
        loading = state.data.watch.progress()
        fields += [
            ("loading_start_time", loading.began_s),
            ("loading_total_bytes", loading.total_bytes),
            ("loading_rdb_used_mem", 0),
            ("loading_loaded_bytes", loading.loaded_bytes),
            ("loading_loaded_perc", f"{loading.percentage:.2f}"),
            ("loading_eta_seconds", loading.left_s),
        ]
    return fields


def stats(state: ServerState) -> Iterable[Field]:
    totals = state.totals()
    commands_rate, in_rate, out_rate = state.rates.per_second()
    return [
        ("total_connections_received", totals["connections"]),
        ("total_commands_processed", totals["commands"]),
        ("instantaneous_ops_per_sec", round(commands_rate)),
        ("total_net_input_bytes", totals["bytes_in"]),
        ("total_net_output_bytes", totals["bytes_out"]),
        ("instantaneous_input_kbps", f"{in_rate / 1024:.2f}"),
        ("instantaneous_output_kbps", f"{out_rate / 1024:.2f}"),
        ("rejected_connections", totals["rejected_connections"]),
        ("sync_full", 0),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        ("expired_keys", totals["expired_keys"]),
        ("expired_stale_perc", "0.00"),
        ("expired_time_cap_reached_count", 0),
        ("expire_cycle_cpu_milliseconds", totals["expire_cycle_ms"]),
        ("expire_lag_ms_max", totals["expire_lag_ms_max"]),
        ("expire_lag_ms_last", totals["expire_lag_ms_last"]),
        ("evicted_keys", totals["evicted_keys"]),
        ("evicted_clients", totals["evicted_clients"]),
        ("keyspace_hits", totals["hits"]),
        ("keyspace_misses", totals["misses"]),
        ("keyspace_events", ",".join(f"{name}={count}" for name, count in state.native.events().items())),
        ("pubsub_channels", 0),
        ("pubsub_patterns", 0),
        ("pubsubshard_channels", 0),
        ("latest_fork_usec", state.data.saver.fork_us),
        ("total_forks", state.data.saver.forks),
        ("total_error_replies", totals["errors"]),
        ("acl_access_denied_auth", totals["auth_failures"]),
    ]


def replication(state: ServerState) -> Iterable[Field]:
    return [
        ("role", "master"),
        ("connected_slaves", 0),
        ("master_failover_state", "no-failover"),
        ("master_replid", state.run_id),
        ("master_replid2", "0" * 40),
        ("master_repl_offset", 0),
        ("second_repl_offset", -1),
        ("repl_backlog_active", 0),
        ("repl_backlog_size", 0),
        ("repl_backlog_first_byte_offset", 0),
        ("repl_backlog_histlen", 0),
    ]


def cpu(state: ServerState) -> Iterable[Field]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [
        ("used_cpu_sys", f"{own.ru_stime:.6f}"),
        ("used_cpu_user", f"{own.ru_utime:.6f}"),
        ("used_cpu_sys_children", f"{children.ru_stime:.6f}"),
        ("used_cpu_user_children", f"{children.ru_utime:.6f}"),
    ]


def commandstats(state: ServerState) -> Iterable[Field]:
    for use in state.native.uses():
        each = use.usec / use.calls if use.calls else 0.0
        value = f"calls={use.calls},usec={round(use.usec)},usec_per_call={each:.2f}"
        yield f"cmdstat_{use.name}", f"{value},rejected_calls={use.rejected},failed_calls={use.failed}"


def latencystats(state: ServerState) -> Iterable[Field]:
    options = state.config.options
    if not options.latency_tracking:
        return
    for name, histogram in state.native.histograms().items():
        yield (
            f"latency_percentiles_usec_{name}",
            ",".join(
                f"p{percentile_text(percentile)}={percentile_us(histogram, percentile):.3f}"
                for percentile in options.latency_tracking_info_percentiles
            ),
        )


def errorstats(state: ServerState) -> Iterable[Field]:
    return [(f"errorstat_{code}", f"count={count}") for code, count in sorted(state.native.errors().items())]


def cluster(state: ServerState) -> Iterable[Field]:
    return [("cluster_enabled", 0)]


def keyspace(state: ServerState) -> Iterable[Field]:
    for number, (keys, volatile) in enumerate(state.native.databases()):
        if keys:
            yield f"db{number}", f"keys={keys},expires={volatile},avg_ttl=0"


def nothing(state: ServerState) -> Iterable[Field]:
    return []


SECTIONS: dict[str, Callable[[ServerState], Iterable[Field]]] = {
    "Server": server,
    "Clients": clients,
    "Memory": memory,
    "Persistence": persistence,
    "Stats": stats,
    "Replication": replication,
    "CPU": cpu,
    "Modules": nothing,
    "Commandstats": commandstats,
    "Errorstats": errorstats,
    "Latencystats": latencystats,
    "Cluster": cluster,
    "Keyspace": keyspace,
}
NOT_BY_DEFAULT = frozenset({"Commandstats", "Latencystats"})


def chosen(names: Sequence[str]) -> list[str]:
    """The sections that these arguments ask for, in the fixed order; unknown names ask for nothing."""
    wanted = {name.lower() for name in names} or {"default"}
    if wanted & {"all", "everything"}:
        return [title for title in SECTIONS if title != "Modules" or "everything" in wanted or "modules" in wanted]
    return [
        title for title in SECTIONS if title.lower() in wanted or ("default" in wanted and title not in NOT_BY_DEFAULT)
    ]


def text(state: ServerState, names: Sequence[str]) -> str:
    """INFO's text."""
    parts = []
    for title in chosen(names):
        lines = [f"# {title}", *(f"{name}:{value}" for name, value in SECTIONS[title](state))]
        parts.append("".join(line + "\r\n" for line in lines))
    return "\r\n".join(parts)


async def info(context: Context, args: Sequence[bytes]) -> Reply:
    return Verbatim(text(context.server, [arg.decode("utf-8", "surrogateescape") for arg in args]))
