"""The server's process: options from a file and the command line, then serving until a signal or SHUTDOWN ends it.

Every failure to start is one line on standard error and exit status 1.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from kvcy.errors import KvcyError, LogError
from kvcy.server.app import Told, serve
from kvcy.server.config_file import ConfigError, Loaded, load, read_arguments, read_file, read_stream
from kvcy.server.listeners import StartError
from kvcy.server.loading import LoadWatch
from kvcy.server.logs import Log
from kvcy.server.options import Config, Options
from kvcy.server.process import Launcher, allow_clients, background, notify_systemd, pid_file
from kvcy.version import VERSION

if TYPE_CHECKING:
    from kvcy._restoring import Point

RECOVER_TO = "recover-to"


def serve_as_told(arguments: Sequence[str]) -> int:
    """Runs the server; returns the exit status."""
    launcher = Launcher()
    try:
        loaded, path, point = read(arguments)
        enter(loaded.options.dir)
        loaded.options.dir = os.getcwd()
        if loaded.options.daemonize:
            launcher = background()
        log = open_log(loaded.options)
        run(loaded, Config(loaded.options, path), log, launcher, point)
    except (ConfigError, StartError, LogError) as error:
        launcher.failed(f"kvcy-server: {error}")
        return 1
    return 0


def read(arguments: Sequence[str]) -> tuple[Loaded, str | None, Point | None]:
    """Options from the file or standard input, then from the arguments; the file's absolute path; and the point of
    --recover-to, which is no option: a configuration must not have it, or every start would go back."""
    settings = []
    path = None
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        path = os.path.abspath(rest.pop(0))
        settings += read_file(path)
    if rest and rest[0] == "-":
        rest.pop(0)
        settings += read_stream(sys.stdin)
    given = read_arguments(rest)
    point = None
    for one in given:
        if one.name == RECOVER_TO and one.place == f"--{RECOVER_TO}":
            point = read_point(one.words)
    settings += [one for one in given if one.name != RECOVER_TO or one.place != f"--{RECOVER_TO}"]
    return load(settings), path, point


def read_point(words: Sequence[str]) -> Point:
    from kvcy._restoring import Point

    try:
        return Point.parse(" ".join(words))
    except ValueError as error:
        raise ConfigError(f"--{RECOVER_TO}: {error}") from None


def enter(directory: str) -> None:
    """Makes it the working directory; relative paths of other options start there."""
    try:
        os.listdir(directory)
        os.chdir(directory)
    except OSError as error:
        raise ConfigError(f"can't use directory '{directory}' (option 'dir'): {error.strerror}") from None


def open_log(options: Options) -> Log:
    try:
        return Log(options.logfile, options.loglevel)
    except OSError as error:
        raise ConfigError(f"can't open the log file '{options.logfile}': {error.strerror}") from None


def run(loaded: Loaded, config: Config, log: Log, launcher: Launcher, point: Point | None) -> None:
    """Restores the data to the point, if there is one, and serves until the end.

    Raises:
        StartError: it cannot start; the log has that too when it is a file.
    """
    options = config.options
    log.notice(f"kvcy {VERSION} is starting: port {options.port}, pid {os.getpid()}")
    for line in loaded.warnings():
        log.warning(line)
    if loaded.without_effect:
        log.verbose("these options are not needed here: " + ", ".join(loaded.without_effect))
    clients = allow_clients(options.maxclients)
    if clients < options.maxclients:
        log.warning(f"maxclients is {clients} instead of {options.maxclients}: no more descriptors may be opened")
        options.maxclients = clients

    def ready() -> None:
        log.notice("Ready to accept connections")
        if options.supervised in ("systemd", "auto"):
            notify_systemd("STATUS=Ready to accept connections\nREADY=1\n")

    try:
        with pid_file(options.pidfile, log):
            if point is not None:
                recover(options.dir, point, log)
            trio.run(serve, config, log, Told(listening=launcher.ready, ready=ready))
    except StartError as error:
        if options.logfile:
            log.warning(str(error))
        raise
    log.notice("kvcy is now ready to exit, bye bye...")
    log.close()


def recover(path: str, point: Point, log: Log) -> None:
    """Restores the data directory to the point; SIGINT ends the process at once, which does no harm.

    Raises:
        StartError: it was not, and why.
    """
    from kvcy._restoring import restore

    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    watch = LoadWatch(log)
    log.notice(f"Restoring {path} to {point.text}")
    try:
        trio.run(watch.run, lambda: restore(path, point, log.notice, watch.began))
    except (KvcyError, MemoryError) as error:
        raise StartError(str(error) or f"no memory to restore to {point.text}") from error
    finally:
        signal.signal(signal.SIGINT, handler)
