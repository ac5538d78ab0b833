"""SAVE, BGSAVE, LASTSAVE and BGREWRITEAOF."""

from __future__ import annotations

from collections.abc import Sequence

from kvcy.server.context import Context
from kvcy.server.replies import OK, SYNTAX_ERROR, Error, Reply, Simple
from kvcy.server.saving import SaveError


async def save(context: Context, args: Sequence[bytes]) -> Reply:
    """With a log other clients are served meanwhile; without one, those wait that change anything."""
    try:
        await context.server.data.saver.save()
    except SaveError as error:
        return Error(f"ERR {error}")
    return OK


async def bgsave(context: Context, args: Sequence[bytes]) -> Reply:
    if args and (len(args) > 1 or args[0].lower() != b"schedule"):
        return SYNTAX_ERROR
    try:
        begun = context.server.data.saver.save_in_background(schedule=bool(args))
    except SaveError as error:
        return Error(f"ERR {error}")
    return Simple(f"Background saving {'started' if begun else 'scheduled'}")


async def bgrewriteaof(context: Context, args: Sequence[bytes]) -> Reply:
    """A snapshot does what rewriting does for a log of commands: what it covers is removed."""
    try:
        begun = context.server.data.saver.save_in_background(rewrite=True)
    except SaveError as error:
        return Error(f"ERR {error}")
    return Simple(f"Background append only file rewriting {'started' if begun else 'scheduled'}")


async def lastsave(context: Context, args: Sequence[bytes]) -> Reply:
    return context.server.data.saver.last_save_s
