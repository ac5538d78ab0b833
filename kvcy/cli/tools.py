"""kvcy: the offline tools for data directories. What they do is in kvcy/tools/; here are the command lines.

Exit statuses: 0 good, 1 a torn tail (check), 2 damage, 3 anything that kept the command from its work.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kvcy._facts import Found
from kvcy.errors import DamagedError, DumpError, KvcyError, ManifestError
from kvcy.tools.check import check
from kvcy.tools.dump import FORMATS, dump
from kvcy.tools.load import Import, load
from kvcy.tools.repair import repair
from kvcy.version import VERSION

EXIT_CLEAN = 0
EXIT_TORN = 1
EXIT_DAMAGED = 2
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130

EXITS = {Found.CLEAN: EXIT_CLEAN, Found.TORN: EXIT_TORN, Found.DAMAGED: EXIT_DAMAGED}

DESCRIPTION = """\
Tools for kvcy's data directories (the directory that kvcy-server is given with --dir). None of them needs a running
server, and none works on a directory that a server is using.
"""
CHECK = """\
Reads everything in DIR: the manifest, every snapshot with all checksums, and every record of the log. Prints what is
there, from when it is, and whether a server would start with it. Changes nothing.
"""
CHECK_EXITS = """\
exit status:
  0  clean
  1  the log ends in a torn tail, as after a crash: the next start cuts it off, nothing needs to be done
  2  damaged: the report names file, offset and position; `kvcy repair DIR` says what can be saved
  3  DIR could not be read, holds no data, or is in use
"""

REPAIR = """\
Makes a damaged directory one that a server starts with. What cannot be used any more goes to DIR/cut-POSITION/, under
the names the files had: the log from the broken place on, and a damaged snapshot if an older one, or the log from its
beginning, allows going on. Nothing is deleted; to undo a repair, move the files back. Without --yes it only says what
it would do.
"""
REPAIR_EXITS = """\
exit status:
  0  a server starts: the directory has been repaired, or nothing was wrong
  2  damaged: without --yes what would be done was printed; or it cannot be repaired, and must be restored from a copy
  3  DIR could not be read or written, holds no data, or is in use
"""

DUMP = """\
Writes all keys of DIR that have not expired: as lines to read and compare, or as commands (SELECT, SET) for another
server. Changes nothing in DIR. Needs the memory that a server needs for it.

  kvcy dump DIR > keys.txt
  kvcy dump DIR --format resp | redis-cli --pipe
"""
LOAD = """\
Imports FILE into DIR: a dump.rdb of Redis (up to version 7.4) or what kvcy dump wrote, in either format. DIR is made if
it is not there. All of FILE is imported, or nothing: it is read and checked first, and appears in one step.

  redis-cli save && kvcy load /var/lib/kvcy /var/lib/redis/dump.rdb
"""
EXITS_OF_DUMP = """\
exit status:
  0  done
  2  DIR is damaged (see kvcy check DIR)
  3  anything else kept the command from its work
"""
EXITS_OF_LOAD = """\
exit status:
  0  done
  2  FILE or DIR is damaged, or FILE holds what kvcy does not have; nothing was changed
  3  anything else kept the command from its work
"""


class Parser(argparse.ArgumentParser):
    """Bad use ends with this module's status for it."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(EXIT_FAILED, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = Parser(prog="kvcy", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole.add_argument("-V", "--version", action="version", version=f"kvcy {VERSION}")
    commands = whole.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, text: str, exits: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = commands.add_parser(
            name, help=summary, description=text, epilog=exits, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        one.add_argument("directory", metavar="DIR", help="the data directory")
        return one

    one = command("check", "read everything and say whether it is whole", CHECK, CHECK_EXITS)
    one.set_defaults(run=run_check)
    one = command("repair", "cut off what is damaged, so that a server starts", REPAIR, REPAIR_EXITS)
    one.add_argument("--yes", action="store_true", help="do it")
    one.set_defaults(run=run_repair)
    one = command("dump", "write all keys as text or as commands", DUMP, EXITS_OF_DUMP)
    one.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="lines (the default) or resp: commands")
    one.add_argument("-o", "--output", metavar="FILE", help="instead of standard output; replaced when all is written")
    one.set_defaults(run=run_dump)
    one = command("load", "import a Redis dump.rdb or a dump of kvcy", LOAD, EXITS_OF_LOAD)
    one.add_argument("file", metavar="FILE", help="the file to import; - is standard input")
    one.add_argument("--merge", action="store_true", help="add to what DIR holds; keys of FILE replace those of DIR")
    one.add_argument("--skip-other-types", action="store_true", help="pass over what is no string, and say what it was")
    one.set_defaults(run=run_load)
    return whole


def run_check(options: argparse.Namespace) -> int:
    return EXITS[check(options.directory, sys.stdout)]


def run_repair(options: argparse.Namespace) -> int:
    return EXIT_CLEAN if repair(options.directory, options.yes, sys.stdout) else EXIT_DAMAGED


def run_dump(options: argparse.Namespace) -> int:
    keys = dump(options.directory, options.format, options.output)
    if options.output is not None:
        print(f"wrote {keys:,} keys to {options.output}")
    return EXIT_CLEAN


def run_load(options: argparse.Namespace) -> int:
    load(options.directory, options.file, Import(options.merge, options.skip_other_types), sys.stdout)
    return EXIT_CLEAN


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status. Bad use raises SystemExit with EXIT_FAILED."""
    options = parser().parse_args(argv)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except (DamagedError, DumpError, ManifestError) as error:
        return failed(str(error), EXIT_DAMAGED)
    except (KvcyError, MemoryError) as error:
        return failed(str(error) or "out of memory", EXIT_FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return EXIT_FAILED
    except OSError as error:
        return failed(f"{error.filename or 'input or output'}: {error.strerror}", EXIT_FAILED)
    except KeyboardInterrupt:
        return failed("interrupted", EXIT_INTERRUPTED)


def failed(message: str, status: int) -> int:
    print(f"kvcy: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
