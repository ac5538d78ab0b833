"""A kvcy-server on a disk that fails when it is told to: a line of its standard input says `KIND FIRST LAST ERRNO`, as
fault_probe.fail takes them, and is answered by an empty line of its standard output."""

from __future__ import annotations

import sys
import threading

from kvcy.cli.server import main
from probes import fault_probe


def obey() -> None:
    for line in sys.stdin:
        kind, *numbers = line.split()
        first, last, error = map(int, numbers)
        fault_probe.fail(kind, first, last, error)
        print(flush=True)


if __name__ == "__main__":
    fault_probe.play()
    threading.Thread(target=obey, daemon=True).start()
    sys.exit(main())
