"""The running server: a store, the loops that serve it, and the options and admin commands that act on both."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from kvcy.commands.registry import rows
from kvcy.engine.eviction import POLICIES
from kvcy.server import listeners
from kvcy.server.admin import dispatch
from kvcy.server.context import ServerState
from kvcy.server.data import Data
from kvcy.server.listeners import StartError
from kvcy.server.logs import Log
from kvcy.server.native import Native
from kvcy.server.options import Config, Options
from kvcy.server.process import allow_clients
from kvcy.server.requests import Request
from kvcy.server.saving import SaveError
from kvcy.server.server import Server, Signals

RATES_EVERY_S = 1.0
SLOWLOG_ENTRIES_MAX = 65_536


@dataclass(frozen=True)
class Told:
    """What is called when the server has come so far."""

    listening: Callable[[], None]  # clients can connect; the data are being loaded
    ready: Callable[[], None]  # all commands are served


async def serve(config: Config, log: Log, told: Told) -> None:
    """Serves until a signal or SHUTDOWN ends it.

    Addresses come first: who starts a second server by mistake is told so before it looks at the first one's data.

    Raises:
        StartError: an address, a path or the data directory cannot be had, or a file in it is damaged.
        LogError: the last changes could not be made durable.
    """
    with listeners.open_all(config.options) as sockets:
        data = await trio.to_thread.run_sync(Data, config.options, log)
        try:
            async with trio.open_nursery() as data_nursery:
                failure = await serve_data(config, data, log, told, sockets, data_nursery)
                await data.saver.finish()
                data_nursery.cancel_scope.cancel()
        finally:
            data.close()
    if failure:
        raise failure


async def serve_data(
    config: Config, data: Data, log: Log, told: Told, sockets: Sequence[socket.socket], data_nursery: trio.Nursery
) -> StartError | None:
    """The part between the directory's lock and the last sync. Returns why the data could not be loaded, outside any
    exception group."""
    failure: StartError | None = None
    native = Native(data.store)
    follow(config, native, log)
    config.on_change("appendfsync", lambda options: data.set_policy(options.appendfsync))

    async def answer(request: Request) -> bytes | None:
        return await dispatch(state, request)

    def judge_writes() -> None:
        native.service.writes_stopped = data.saver.stops_writes

    data.saver.judged = judge_writes
    config.on_change(("save", "stop-writes-on-bgsave-error"), lambda options: judge_writes())

    def snapshot() -> None:
        log.notice("Received SIGUSR1, writing a snapshot")
        try:
            data.saver.save_in_background(schedule=True)
        except SaveError as error:
            log.warning(f"No snapshot is written: {error}")

    async def save_and_end() -> None:
        try:
            await data.saver.save_for_end()
        except SaveError:
            log.warning("The server goes on, since its data could not be saved; SHUTDOWN NOSAVE ends it without")
        else:
            server.shut_down()

    def end() -> None:
        if data.saver.ending:
            server.shut_down(now=True)
        else:
            app_nursery.start_soon(save_and_end, name="save and end")

    server = Server(config, data.store, native.service, log, answer, Signals(snapshot, end))
    state = ServerState(config, native, log, rows(), server.shut_down, data, traffic=lambda: traffic(server))

    async def run_server(task_status: trio.TaskStatus[None]) -> None:
        await server.run(sockets, task_status)
        app_nursery.cancel_scope.cancel()

    async with trio.open_nursery() as app_nursery:
        app_nursery.start_soon(read_rates, state, name="rates for INFO")
        await app_nursery.start(run_server, name="server")
        told.listening()
        try:
            await data.watch.run(data.load)
        except StartError as error:
            failure = error
            server.shut_down()
        else:
            await data_nursery.start(data.run, name="data")
            if not data.saver.ending:
                server.load_done()
                follow_events(config.options, native)
                data.loaded()
                told.ready()
    return failure


def traffic(server: Server) -> tuple[int, int]:
    """Bytes received and sent by all loops."""
    counts = [reactor.stats() for reactor in server.reactors]
    others = server.trio_executor
    return (
        sum(one["bytes_in"] for one in counts) + others.bytes_in,
        sum(one["bytes_out"] for one in counts) + others.bytes_out,
    )


async def read_rates(state: ServerState) -> None:
    while True:
        state.read_rates()
        await trio.sleep(RATES_EVERY_S)


def follow_events(options: Options, native: Native) -> None:
    """Has keyspace events raised as the options say; none while the data are loaded."""
    if not native.service.loading:
        native.set_events(options.notify_keyspace_events)


def follow(config: Config, native: Native, log: Log) -> None:
    """Gives the options' values to those who use them, now and whenever CONFIG SET changes them."""
    service = native.service

    def shared(options: Options) -> None:
        service.set_password(options.requirepass.encode("utf-8", "surrogateescape"))
        service.bulk_bytes_max = options.proto_max_bulk_len
        service.slow_us = options.slowlog_log_slower_than
        service.slow_capacity = min(options.slowlog_max_len, SLOWLOG_ENTRIES_MAX)
        service.latency_threshold_ms = options.latency_monitor_threshold
        service.latency_tracking = options.latency_tracking
        native.set_memory_max(
            options.maxmemory, POLICIES.index(options.maxmemory_policy), options.maxmemory_eviction_tenacity,
            options.lfu_log_factor, options.lfu_decay_time,
        )  # fmt: skip
        share = -options.maxmemory_clients  # per cent of maxmemory
        native.set_clients_memory_max(
            options.maxmemory * share // 100 if share > 0 else options.maxmemory_clients
        )
        native.set_ordered_always(options.ordered_index)
        log.set_level(options.loglevel)

    def clients(options: Options) -> None:
        if (possible := allow_clients(options.maxclients)) < options.maxclients:
            raise ValueError(
                f"The operating system is not able to handle the specified number of clients, try with {possible}"
            )

    def directory(options: Options) -> None:
        try:
            os.chdir(options.dir)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None
        options.dir = os.getcwd()

    config.on_change(
        ["requirepass", "proto-max-bulk-len", "slowlog-log-slower-than", "slowlog-max-len",
         "latency-monitor-threshold", "latency-tracking", "maxmemory", "maxmemory-policy",
         "maxmemory-eviction-tenacity", "maxmemory-clients", "lfu-log-factor", "lfu-decay-time", "ordered-index",
         "loglevel"], shared,
    )  # fmt: skip
    config.on_change("maxclients", clients)
    config.on_change("notify-keyspace-events", lambda options: follow_events(options, native))
    config.on_change("dir", directory)
    shared(config.options)
    config.options.dir = os.getcwd()
