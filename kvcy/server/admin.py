"""The commands that are answered in Python: from a waiting request to its handler and back.

A handler is `async def name(context, args) -> Reply`; args are the words behind the command's (and subcommand's) name.
A test proves that the rows flagged `python` and these handlers match.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from kvcy.server import (
    command_command,
    config_command,
    help_texts,
    info,
    memory_commands,
    process_commands,
    save_commands,
    watch_commands,
)
from kvcy.server.context import Context, ServerState
from kvcy.server.replies import Close, Error, Reply, encode

Handler = Callable[[Context, Sequence[bytes]], Awaitable[Reply]]

HANDLERS: dict[str, Handler] = {
    "info": info.info,
    "config|get": config_command.config_get,
    "config|set": config_command.config_set,
    "config|resetstat": config_command.config_resetstat,
    "config|rewrite": config_command.config_rewrite,
    "config|help": help_texts.config_help,
    "command": command_command.command,
    "command|count": command_command.command_count,
    "command|info": command_command.command_info,
    "command|docs": command_command.command_docs,
    "command|list": command_command.command_list,
    "command|getkeys": command_command.command_getkeys,
    "command|getkeysandflags": command_command.command_getkeysandflags,
    "command|help": help_texts.command_help,
    "debug": process_commands.debug,
    "latency|latest": watch_commands.latency_latest,
    "latency|history": watch_commands.latency_history,
    "latency|reset": watch_commands.latency_reset,
    "latency|doctor": watch_commands.latency_doctor,
    "latency|graph": watch_commands.latency_graph,
    "latency|histogram": watch_commands.latency_histogram,
    "latency|help": help_texts.latency_help,
    "memory|doctor": memory_commands.memory_doctor,
    "memory|stats": memory_commands.memory_stats,
    "slowlog|get": watch_commands.slowlog_get,
    "slowlog|len": watch_commands.slowlog_len,
    "slowlog|reset": watch_commands.slowlog_reset,
    "slowlog|help": help_texts.slowlog_help,
    "save": save_commands.save,
    "bgsave": save_commands.bgsave,
    "bgrewriteaof": save_commands.bgrewriteaof,
    "lastsave": save_commands.lastsave,
    "shutdown": process_commands.shutdown,
    "lolwut": process_commands.lolwut,
    "role": process_commands.role,
}


class Session(Protocol):
    """What a request tells about its client."""

    @property
    def id(self) -> int: ...
    @property
    def database(self) -> int: ...
    @property
    def protocol(self) -> int: ...
    @property
    def is_local(self) -> bool: ...


class Request(Protocol):
    """A command that waits for its answer."""

    @property
    def name(self) -> str:
        """The row's full name: "config|get"."""

    @property
    def args(self) -> Sequence[bytes]:
        """All words, the command's name first."""

    @property
    def session(self) -> Session: ...


async def dispatch(state: ServerState, request: Request) -> bytes | None:
    """The encoded reply to one request; None: close the connection without one. A handler's own failure is logged and
    answered as an error; it never spreads."""
    session = request.session
    context = Context(state, session.id, session.database, session.protocol, session.is_local)
    reply = await run(context, request.name, request.args)
    return None if isinstance(reply, Close) else encode(reply, context.protocol)


async def run(context: Context, name: str, args: Sequence[bytes]) -> Reply:
    handler = HANDLERS.get(name)
    if handler is None:
        return Error(f"ERR '{name}' is not implemented")
    try:
        return await handler(context, args[1 + name.count("|") :])
    except Exception as error:
        context.server.log.warning(f"command '{name}' failed: {type(error).__name__}: {error}")
        return Error("ERR internal error; the server's log says more")
