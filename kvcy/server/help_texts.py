"""What the HELP subcommands of the commands answered in Python list: pairs of syntax and explanation."""

from __future__ import annotations

from collections.abc import Sequence

from kvcy.server.context import Context
from kvcy.server.replies import Reply, Simple

HELP: dict[str, tuple[tuple[str, str], ...]] = {
    "config": (
        ("GET <pattern> [<pattern> ...]", "Returns the options whose names match a pattern, with their values."),
        ("SET <name> <value> [<name> <value> ...]", "Sets options, all of them or none."),
        ("RESETSTAT", "Sets the statistics that INFO reports back to zero."),
        ("REWRITE", "Writes the present options into the configuration file."),
        ("HELP", "Shows this list."),
    ),
    "command": (
        ("(no subcommand)", "Returns the details of all commands."),
        ("COUNT", "Returns how many commands there are."),
        ("LIST [FILTERBY MODULE|ACLCAT|PATTERN <value>]", "Returns the names of commands."),
        ("INFO [<command> ...]", "Returns the details of these commands, or of all."),
        ("DOCS [<command> ...]", "Returns the documentation of these commands, or of all."),
        ("GETKEYS <command> [<arg> ...]", "Returns the keys among the words of a command."),
        ("GETKEYSANDFLAGS <command> [<arg> ...]", "Returns the keys of a command and how each is used."),
        ("HELP", "Shows this list."),
    ),
    "latency": (
        ("DOCTOR", "Returns a report for people to read."),
        ("GRAPH <event>", "Draws the samples of an event."),
        ("HISTORY <event>", "Returns the samples of an event: time in seconds and latency in milliseconds."),
        ("LATEST", "Returns, of each event, its newest sample and its worst latency."),
        ("RESET [<event> ...]", "Forgets the samples of these events, or of all."),
        ("HISTOGRAM [<command> ...]", "Returns how the durations of commands are distributed."),
        ("HELP", "Shows this list."),
    ),
    "slowlog": (
        ("GET [<count>]", "Returns the newest entries (10 unless told, -1 for all): number, time, duration in"),
        ("", "microseconds, arguments, the client's address and its name."),
        ("LEN", "Returns how many entries there are."),
        ("RESET", "Forgets all entries."),
        ("HELP", "Shows this list."),
    ),
    "debug": (
        ("ERROR <text>", "Replies with this error."),
        ("LOG <text>", "Writes a line to the log."),
        ("OBJECT <key>", "Shows how a key's value is kept."),
        ("PROTOCOL <type>", "Replies with a value of this type: string, integer, double, null, array, set, map,"),
        ("", "verbatim, true, false, bignum, push, attrib."),
        ("SET-ACTIVE-EXPIRE <0|1>", "Is accepted, and changes nothing: expired keys are always removed."),
        ("SLEEP <seconds>", "Keeps this client, and no other, waiting."),
        ("HELP", "Shows this list."),
    ),
}


def help_reply(name: str) -> Reply:
    lines = [f"{name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for syntax, text in HELP[name]:
        lines += [syntax] if syntax else []
        lines.append(f"    {text}")
    return [Simple(line) for line in lines]


async def config_help(context: Context, args: Sequence[bytes]) -> Reply:
    return help_reply("config")


async def command_help(context: Context, args: Sequence[bytes]) -> Reply:
    return help_reply("command")


async def latency_help(context: Context, args: Sequence[bytes]) -> Reply:
    return help_reply("latency")


async def slowlog_help(context: Context, args: Sequence[bytes]) -> Reply:
    return help_reply("slowlog")
