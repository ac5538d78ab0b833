"""SHUTDOWN, DEBUG, ROLE and LOLWUT."""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from kvcy.server.config_command import text_of
from kvcy.server.context import Context
from kvcy.server.help_texts import help_reply
from kvcy.server.replies import OK, SYNTAX_ERROR, Close, Encoded, Error, Reply, Set, Simple, Verbatim
from kvcy.server.saving import SaveError
from kvcy.version import REDIS_VERSION, VERSION

DEBUG_REFUSED = Error(
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a '
    "local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)


LOADING = Error("LOADING Redis is loading the dataset in memory")
WRONG_TYPE_NAME = Error(
    "ERR Wrong protocol type name. Please use one of the following: "
    "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)


async def shutdown(context: Context, args: Sequence[bytes]) -> Reply:
    """There is no reply when the server ends: the connection is closed with all others."""
    words = [arg.lower() for arg in args]
    if set(words) - {b"save", b"nosave", b"now", b"force", b"abort"} or (b"save" in words and b"nosave" in words):
        return SYNTAX_ERROR
    if b"abort" in words:
        return SYNTAX_ERROR if len(words) > 1 else Error("ERR No shutdown in progress.")
    wanted = True if b"save" in words else False if b"nosave" in words else None
    try:
        await context.server.data.saver.save_for_end(wanted)
    except SaveError as error:
        if b"force" not in words:
            context.server.log.warning(f"SHUTDOWN refused: {error}")
            return Error("ERR Errors trying to SHUTDOWN. Check logs.")
    context.server.log.warning("User requested shutdown...")
    context.server.shut_down()
    return Close()


async def role(context: Context, args: Sequence[bytes]) -> Reply:
    return ["master", 0, []]


async def lolwut(context: Context, args: Sequence[bytes]) -> Reply:
    key = r"""
     ___
    /   \________________
   | (o)  _______   _  _ |
    \___/        |_| |_|_|
"""
    return Verbatim(f"{key}\nkvcy ver. {VERSION} (Redis ver. {REDIS_VERSION})\n")


async def debug(context: Context, args: Sequence[bytes]) -> Reply:
    allowed = context.server.config.options.enable_debug_command
    if allowed == "no" or (allowed == "local" and not context.local):
        return DEBUG_REFUSED
    name, rest = text_of(args[0]), args[1:]
    match name.lower(), len(rest):
        case "help", 0:
            return help_reply("debug")
        case "sleep", 1:
            return await _sleep(rest[0])
        case "set-active-expire", 1:
            return OK
        case "error", 1:
            return Error(text_of(rest[0]))
        case "log", 1:
            context.server.log.warning(f"DEBUG LOG: {text_of(rest[0])}")
            return OK
        case "object", 1 if not context.server.data.watch.over:
            return LOADING
        case "object", 1:
            line = context.server.native.entry_text(context.database, rest[0])
            return Error("ERR no such key") if line is None else Simple(line)
        case "protocol", 1:
            return _protocol(text_of(rest[0]).lower(), context.protocol)
    return Error(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.")


async def _sleep(seconds: bytes) -> Reply:
    """Only the client that asked waits."""
    try:
        span_s = float(seconds)
    except ValueError:
        span_s = 0.0
    if math.isfinite(span_s) and span_s > 0:
        await trio.sleep(span_s)
    return OK


def _protocol(kind: str, protocol: int) -> Reply:
    """A value of each type the protocol has, for tests of clients."""
    values: dict[str, Reply] = {
        "string": "Hello World",
        "integer": 12345,
        "double": 3.141,
        "null": None,
        "array": [0, 1, 2],
        "set": Set([0, 1, 2]),
        "true": True,
        "false": False,
        "verbatim": Verbatim("This is a verbatim\nstring"),
    }
    resp3: dict[str, Reply] = {
        "bignum": Encoded(b"(1234567999999999999999999999999999999\r\n"),
        "map": Encoded(b"%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
        "push": Encoded(b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"),
        "attrib": Encoded(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\n"
                          b"Some real reply following the attribute\r\n"),
    }  # fmt: skip
    resp2: dict[str, Reply] = {
        "bignum": "1234567999999999999999999999999999999",
        "map": [0, False, 1, True, 2, False],
        "push": Error("ERR RESP2 is not supported by this command"),
        "attrib": "Some real reply following the attribute",
    }
    values |= resp3 if protocol >= 3 else resp2
    return values.get(kind, WRONG_TYPE_NAME)
