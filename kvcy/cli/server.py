"""kvcy-server: its usage and its version; all else is in serving.py, which it imports when it is wanted.

A start is to be short, and half of one on little data is importing. So what only some starts need is imported where it
is needed; garbage is not looked for meanwhile: there is none, and looking takes a tenth of the time; nor among what was
imported later on.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from kvcy.version import REDIS_VERSION, VERSION

USAGE = """\
usage: kvcy-server [configuration-file | -] [--option value ...] [--recover-to point]
       kvcy-server -v | --version
       kvcy-server -h | --help

The configuration file has redis.conf's syntax; - reads it from standard input. Options of the command line come after
those of the file. Examples:
       kvcy-server
       kvcy-server /etc/kvcy.conf --port 7777 --maxmemory 2gb
       echo 'maxmemory 128mb' | kvcy-server -

--recover-to makes the data what it was at a position of the log (digits) or a time (2026-11-22T19:00:00Z, or Unix
seconds as @1234567890), keeps aside what was there, and then serves; wal-keep says how far back that can be:
       kvcy-server --dir /var/lib/kvcy --appendonly yes --recover-to 2026-11-22T19:00:00Z
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["-v"], ["--version"]):
        print(f"kvcy server v={VERSION} redis={REDIS_VERSION} bits={64 if sys.maxsize > 2**32 else 32}")
        return 0
    if arguments in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    gc.disable()
    try:
        from kvcy.cli.serving import serve_as_told
    finally:
        gc.enable()
    gc.freeze()
    return serve_as_told(arguments)
